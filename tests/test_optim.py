"""Optimizers against PyTorch's: steps, state, options, messages."""

import copy
import io
import pickle

import numpy as np
import pytest
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import optim
from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.runner import as_torch

torch = pytest.importorskip("torch")

SHAPES = [(5,), (3, 4), (), (0,), (2, 3, 4)]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.3, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
]
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
every_optimizer = pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])


def leaves(rng, device="cpu", dtype="float32", shapes=SHAPES):
    """The same parameters here and in torch."""
    arrays = [np.asarray(rng.normal(size=shape)).astype(BY_NAME[dtype].numpy) for shape in shapes]
    return (
        [ours(array, device, requires_grad=True) for array in arrays],
        [theirs(array, requires_grad=True) for array in arrays],
    )


def give_gradients(rng, mine, torchs):
    """The same new gradients to the parameters of both."""
    for p, q in zip(mine, torchs, strict=True):
        array = np.asarray(rng.normal(size=p.shape)).astype(p._type.numpy)
        p.grad, q.grad = ours(array, p.device.type), theirs(array)


def run(steps, rng, optimizer, other, mine, torchs):
    for _ in range(steps):
        give_gradients(rng, mine, torchs)
        optimizer.step()
        other.step()


def assert_same_state(optimizer, other, scale=1.0):
    """State dicts equal to torch's, in content and structure."""
    mine, torchs = optimizer.state_dict(), other.state_dict()
    assert [list(group) for group in mine["param_groups"]] == [list(group) for group in torchs["param_groups"]]
    assert mine["param_groups"] == torchs["param_groups"]
    assert list(mine["state"]) == list(torchs["state"])
    for number, state in torchs["state"].items():
        assert set(mine["state"][number]) == set(state)
        for key, value in state.items():
            assert_same(mine["state"][number][key], value, scale=scale, what=f"{key} of {number}")


@every_case
def test_steps_are_those_of_torch(name, options, device, rng):
    mine, torchs = leaves(rng, device)
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
    assert repr(optimizer) == repr(other)
    run(5, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)
    assert_same_state(optimizer, other, scale=3)


@every_case
def test_steps_in_float64(name, options, device, rng):
    mine, torchs = leaves(rng, device, "float64")
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
    run(3, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs)
    assert_same_state(optimizer, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every_case
def test_16_bit_parameters_are_computed_in_float32(name, options, dtype, device, rng):
    mine, _ = leaves(rng, device, dtype, [(20,)])
    exact = theirs(host(mine[0]).astype(np.float32), requires_grad=True)
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)([exact], **options)
    gradient = rng.normal(size=20).astype(BY_NAME[dtype].numpy)
    mine[0].grad, exact.grad = ours(gradient, device), theirs(gradient.astype(np.float32))
    optimizer.step()
    other.step()
    assert mine[0].dtype.name == dtype
    one_rounding = {"float16": 2**-10, "bfloat16": 2**-7}[dtype]
    np.testing.assert_allclose(host(mine[0]).astype(np.float32), host(exact), rtol=one_rounding)


@every_case
def test_complex_parameters_are_pairs_of_real_ones(name, options, device, rng):
    array = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    mine, torchs = [ours(array, device, requires_grad=True)], [theirs(array, requires_grad=True)]
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
    for _ in range(3):
        gradient = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
        mine[0].grad, torchs[0].grad = ours(gradient, device), theirs(gradient)
        optimizer.step()
        other.step()
    assert_same(mine, torchs)
    assert_same_state(optimizer, other)


@every_case
def test_any_layout(name, options, device, rng):
    """Transposed, sliced and reversed parameters, and gradients laid out otherwise than they are."""
    array = rng.normal(size=(8, 6))
    for view in (lambda a: a.T, lambda a: a[::2], lambda a: a[:, 1:4], lambda a: a[::-1].T):
        mine, torchs = [ours(array, device)], [theirs(np.ascontiguousarray(view(array)), requires_grad=True)]
        whole = mine[0]
        mine = [ag.from_dlpack(view(whole.array)) if device == "cuda" else ag.from_numpy(view(whole.array))]
        mine[0].requires_grad_()
        optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
        for order in "CF":
            gradient = np.asarray(rng.normal(size=mine[0].shape), order=order)
            mine[0].grad, torchs[0].grad = ours(gradient, device), theirs(gradient)
            optimizer.step()
            other.step()
        assert_same(mine, torchs)
        np.testing.assert_array_equal(view(host(whole)), host(mine[0]))


def test_tiles_do_not_show(device, rng):
    """More elements than a tile or a chunk has, and a length that no width divides."""
    mine, torchs = leaves(rng, device, shapes=[(70_001,), (33_000,), (1,)])
    optimizer, other = optim.Adam(mine, amsgrad=True), torch.optim.Adam(torchs, amsgrad=True)
    run(2, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)


def test_more_parameters_than_a_launch_takes(device, rng):
    mine, torchs = leaves(rng, device, shapes=[(1 + i % 3,) for i in range(1000)])
    optimizer, other = optim.Adam(mine), torch.optim.Adam(torchs)
    run(2, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)


@every_optimizer
def test_groups_have_their_own_options(name, device, rng):
    mine, torchs = leaves(rng, device, shapes=[(3,), (4,), (5,)])
    groups = [
        [{"params": params[0]}, {"params": params[1:2], "lr": 0.5, "weight_decay": 0.1}] for params in (mine, torchs)
    ]
    optimizer, other = getattr(optim, name)(groups[0], lr=0.1), getattr(torch.optim, name)(groups[1], lr=0.1)
    for made, params in (optimizer, mine), (other, torchs):
        made.add_param_group({"params": [params[2]], "maximize": True})
    assert repr(optimizer) == repr(other)
    run(2, rng, optimizer, other, mine, torchs)
    for made in optimizer, other:
        made.param_groups[1]["lr"] = 0.01
    run(2, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)
    assert_same_state(optimizer, other, scale=3)


@every_optimizer
def test_parameters_without_a_gradient_wait(name, device, rng):
    """They keep their value and have their own number of steps."""
    mine, torchs = leaves(rng, device, shapes=[(3,), (4,)])
    options = {"momentum": 0.9, "dampening": 0.5} if name == "SGD" else {}
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
    run(2, rng, optimizer, other, mine[:1], torchs[:1])
    assert_same_state(optimizer, other, scale=3)
    run(2, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)
    assert_same_state(optimizer, other, scale=3)


def converted(value, convert):
    """``value`` with its tensors converted."""
    if isinstance(value, dict):
        return {key: converted(item, convert) for key, item in value.items()}
    if isinstance(value, list):
        return [converted(item, convert) for item in value]
    return convert(value) if hasattr(value, "detach") else value


@every_case
def test_state_goes_to_torch_and_comes_back(name, options, device, rng):
    mine, torchs = leaves(rng, device)
    optimizer, other = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(torchs, **options)
    run(2, rng, optimizer, other, mine, torchs)
    theirs_again = getattr(torch.optim, name)(torchs, lr=7.0)
    theirs_again.load_state_dict(converted(optimizer.state_dict(), lambda t: theirs(host(t))))
    ours_again = getattr(optim, name)(mine, lr=7.0)
    ours_again.load_state_dict(converted(other.state_dict(), lambda t: ours(host(t))))
    run(2, rng, ours_again, theirs_again, mine, torchs)
    assert_same(mine, torchs, scale=5)
    assert_same_state(ours_again, theirs_again, scale=5)


def test_loaded_state_is_a_copy_in_the_dtype_of_the_parameter(device):
    p, q = (ag.ones(2, device=device, dtype=ag.float64, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([p])
    p.grad = ag.ones_like(p)
    optimizer.step()
    single = q.detach().float().requires_grad_()
    other = optim.Adam([single])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[single]["exp_avg"].dtype is ag.float32
    assert other.state[single]["step"].device.type == "cpu"
    again = optim.Adam([q])
    again.load_state_dict(optimizer.state_dict())
    q.grad = ag.ones_like(q)
    again.step()
    assert float(again.state[q]["step"]) == 2
    assert float(optimizer.state[p]["step"]) == 1
    assert host(optimizer.state[p]["exp_avg"]).tolist() == pytest.approx([0.1, 0.1])


def test_state_that_torch_wrote_long_ago():
    """Numbers of steps as numbers, momentum buffers that were not there yet, options that did not exist."""
    p = ag.ones(2, requires_grad=True)
    adam = optim.Adam([p])
    state = {"step": 3, "exp_avg": ag.ones(2), "exp_avg_sq": ag.ones(2)}
    group = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "params": [0]}
    adam.load_state_dict({"state": {0: state}, "param_groups": [group]})
    p.grad = ag.ones(2)
    adam.step()
    assert adam.state[p]["step"].tolist() == 4
    assert adam.param_groups[0]["amsgrad"] is False
    sgd = optim.SGD([p], momentum=0.5)
    sgd.load_state_dict({**sgd.state_dict(), "state": {0: {"momentum_buffer": None}}})
    sgd.step()
    assert sgd.state[p]["momentum_buffer"].tolist() == [1, 1]


@every_optimizer
def test_state_dict_is_saved_and_loaded(name):
    p = ag.ones(2, requires_grad=True)
    optimizer = getattr(optim, name)([("weight", p)])
    p.grad = ag.ones(2)
    optimizer.step()
    file = io.BytesIO()
    ag.save(optimizer.state_dict(), file)
    file.seek(0)
    other = getattr(optim, name)([p])
    other.load_state_dict(ag.load(file))
    assert other.param_groups[0]["param_names"] == ["weight"]
    for key, value in optimizer.state[p].items():
        assert host(other.state[p][key]).tolist() == host(value).tolist()


def test_copies_and_pickles():
    p = ag.ones(2, requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.5)
    p.grad = ag.ones(2)
    optimizer.step()
    for other in copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)):
        (q,) = other.param_groups[0]["params"]
        q.grad = ag.ones(2)
        other.step()
        assert repr(other) == repr(optimizer)
        assert other.state[q]["step"].tolist() == 2
    assert optimizer.state[p]["step"].tolist() == 1


def test_names_of_parameters():
    p, q = ag.ones(1, requires_grad=True), ag.ones(2, requires_grad=True)
    optimizer = optim.SGD([("a", p), ("b", q)])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    with pytest.raises(ValueError, match="all optimizer params should be with/without names. Some param names are"):
        optim.SGD([("a", p), q])
    with pytest.raises(ValueError, match="cannot add param group without names to the optimizer"):
        optimizer.add_param_group({"params": [ag.ones(1, requires_grad=True)]})


def test_a_step_is_a_write(device):
    x = ag.ones(2, device=device, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    version, gradient = x._version, x.grad._version
    optim.SGD([x]).step()
    assert x._version == version + 1
    assert x.grad._version == gradient
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_closure_is_recorded(device):
    x = ag.tensor([2.0], device=device, requires_grad=True)
    optimizer = optim.SGD([x], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with ag.no_grad():
        assert optimizer.step(closure).tolist() == 4
        assert not ag.is_grad_enabled()
    assert x.tolist() == [0]


def test_zero_grad(device):
    x = ag.ones(2, device=device, requires_grad=True)
    unused = ag.ones(1, requires_grad=True)
    optimizer = optim.SGD([x, unused])
    (x * x).sum().backward(create_graph=False)
    gradient = x.grad
    optimizer.zero_grad(set_to_none=False)
    assert x.grad is gradient
    assert x.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert x.grad is None
    assert unused.grad is None


def test_numbers_as_tensors():
    """Tensors on the host are read at each step, so a schedule may write to them."""
    x, lr = ag.zeros(1, requires_grad=True), ag.tensor(1.0)
    optimizer = optim.SGD([x], lr=lr)
    for value in 1.0, 0.5:
        lr.fill_(value)
        x.grad = ag.ones(1)
        optimizer.step()
    assert x.tolist() == [-1.5]
    beta = ag.tensor(0.5)
    optim.Adam([x], lr=lr, betas=(beta, beta)).step()
    assert x.tolist() == pytest.approx([-2.0])


def test_nothing_is_written_where_a_step_raises(device):
    x, y = (ag.ones(2, device=device, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([x, y])
    x.grad, y.grad = ag.ones_like(x), ag.ones_like(y)
    optimizer.step()
    before = x.tolist()
    optimizer.state[y]["exp_avg"] = ag.zeros(3, device=device)
    with pytest.raises(RuntimeError, match=r"exp_avg has size \[3\], but its parameter \[2\]"):
        optimizer.step()
    optimizer.state[y]["exp_avg"] = ag.zeros(2, device=device, dtype=ag.float64)
    with pytest.raises(RuntimeError, match="exp_avg is of autograd_gpu.float64 on .*, but its parameter of"):
        optimizer.step()
    assert x.tolist() == before
    assert x._version == 1
    assert optimizer.state[x]["step"].tolist() == 1


def test_what_cannot_be_written_to():
    x, y = ag.ones(2, requires_grad=True), ag.ones(1).expand(3).requires_grad_()
    x.grad, y.grad = ag.ones(2), ag.ones(3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single"):
        optim.SGD([x, y]).step()
    locked = np.ones(2)
    tensor = ag.from_numpy(locked).requires_grad_()
    locked.flags.writeable = False
    tensor.grad = ag.ones(2, dtype=ag.float64)
    x.grad = ag.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        optim.SGD([x, tensor]).step()
    assert x.tolist() == [1, 1]
    with ag.inference_mode():
        frozen = ag.ones(2)
    frozen.grad = ag.ones(2)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        optim.SGD([frozen]).step()


BAD = [
    ("SGD", {"lr": -1}),
    ("SGD", {"momentum": -0.1}),
    ("SGD", {"weight_decay": -0.1}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ("SGD", {"fused": True, "foreach": True}),
    ("Adam", {"lr": -1.0}),
    ("Adam", {"lr": float("nan")}),
    ("Adam", {"eps": -1.0}),
    ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"betas": (0.9, -0.1)}),
    ("Adam", {"betas": (0, 0.5)}),
    ("Adam", {"weight_decay": -1}),
    ("Adam", {"fused": True, "foreach": True}),
    ("AdamW", {"lr": -1}),
    ("RMSprop", {"lr": -1}),
    ("RMSprop", {"eps": -1}),
    ("RMSprop", {"momentum": -1}),
    ("RMSprop", {"weight_decay": -1}),
    ("RMSprop", {"alpha": -1}),
    ("Adagrad", {"lr": -1}),
    ("Adagrad", {"lr_decay": -1}),
    ("Adagrad", {"weight_decay": -1}),
    ("Adagrad", {"initial_accumulator_value": -1}),
    ("Adagrad", {"eps": -1}),
]


def raised(function):
    """The exception that ``function`` raises."""
    try:
        function()
    except Exception as error:  # noqa: BLE001  whatever it is
        return error
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(("name", "options"), BAD, ids=str)
def test_bad_options(name, options):
    mine = raised(lambda: getattr(optim, name)([ag.ones(1, requires_grad=True)], **options))
    torchs = raised(lambda: getattr(torch.optim, name)([torch.ones(1, requires_grad=True)], **options))
    assert str(mine) == str(torchs)
    assert isinstance(mine, type(torchs))


BAD_NUMBERS = [
    ("SGD", lambda t: {"lr": t.ones(2)}),
    ("Adam", lambda t: {"lr": t.ones(2)}),
    ("Adam", lambda t: {"lr": t.tensor(1.0), "foreach": True}),
    ("Adam", lambda t: {"betas": (t.tensor(0.5), 0.9)}),
    ("Adam", lambda t: {"betas": (t.tensor(0.5), t.tensor(0.5)), "foreach": True}),
]


@pytest.mark.parametrize(("name", "options"), BAD_NUMBERS)
def test_bad_tensors_as_options(name, options):
    mine = raised(lambda: getattr(optim, name)([ag.ones(1, requires_grad=True)], **options(ag)))
    torchs = raised(lambda: getattr(torch.optim, name)([torch.ones(1, requires_grad=True)], **options(torch)))
    assert str(mine) == str(torchs)


BAD_PARAMETERS = [
    lambda t, x: x,
    lambda t, x: [],
    lambda t, x: ["weight"],
    lambda t, x: [3.0],
    lambda t, x: [2 * x],
    lambda t, x: [{"params": {x}}],
    lambda t, x: [{"params": [x]}, {"params": [x]}],
    lambda t, x: [{"params": [x]}, [x]],
]


@pytest.mark.parametrize("params", BAD_PARAMETERS)
def test_bad_parameters(params):
    mine = raised(lambda: optim.SGD(params(ag, ag.ones(1, requires_grad=True)), lr=0.1))
    torchs = raised(lambda: torch.optim.SGD(params(torch, torch.ones(1, requires_grad=True)), lr=0.1))
    assert str(mine) == str(torchs)
    assert type(mine) is type(torchs)


@every_optimizer
def test_the_same_parameter_twice_is_updated_twice(name, device, rng):
    mine, torchs = leaves(rng, device, shapes=[(3,), (4,)])
    with pytest.warns(UserWarning, match="optimizer contains a parameter group with duplicate parameters"):
        optimizer = getattr(optim, name)([mine[0], mine[1], mine[0]], lr=0.1)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        other = getattr(torch.optim, name)([torchs[0], torchs[1], torchs[0]], lr=0.1)
    run(2, rng, optimizer, other, mine, torchs)
    assert_same(mine, torchs, scale=3)
    assert_same_state(optimizer, other, scale=3)


def test_state_of_another_optimizer():
    x, y = ag.ones(1, requires_grad=True), ag.ones(1, requires_grad=True)
    optimizer = optim.SGD([x])
    with pytest.raises(ValueError, match="loaded state dict has a different number of parameter groups"):
        optimizer.load_state_dict(optim.SGD([{"params": [x]}, {"params": [y]}]).state_dict())
    with pytest.raises(ValueError, match="loaded state dict contains a parameter group that doesn't match the size"):
        optimizer.load_state_dict(optim.SGD([x, y]).state_dict())


@pytest.mark.parametrize("option", ["capturable", "differentiable"])
def test_options_that_cannot_be_honoured(option):
    x = ag.ones(1, requires_grad=True)
    with pytest.raises(AttributeError, match=rf"Adam\({option}=True\) is not part of autograd_gpu: .*; leave it False"):
        optim.Adam([x], **{option: True})


@pytest.mark.gpu
def test_numbers_on_the_device():
    x = ag.ones(1, device="cuda", requires_grad=True)
    with pytest.raises(AttributeError, match="lr on cuda:0 is not part of autograd_gpu: each step would wait for"):
        optim.SGD([x], lr=ag.tensor(1.0, device="cuda"))


def test_an_optimizer_of_your_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=optim.optimizer.required):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad.sign(), alpha=-group["lr"])
                    self.state[p]["seen"] = True

    x = ag.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="parameter group didn't specify a value of required optimization parameter"):
        Signs([x])
    optimizer = Signs([{"params": [x], "lr": 0.5}])
    x.grad = ag.tensor([3.0, -4.0])
    optimizer.step()
    assert x.tolist() == [-0.5, 0.5]
    assert optimizer.state_dict()["state"] == {0: {"seen": True}}
    with pytest.raises(NotImplementedError, match="Optimizer has no step()"):
        optim.Optimizer([x], {}).step()


def test_scripts_for_torch_find_them():
    with as_torch():
        script = "import torch, torch.optim as optim\nfrom torch.optim import SGD\nfrom torch.nn.utils import clip_grad_norm_"
        namespace = {}
        exec(script, namespace)
        assert namespace["optim"].SGD is namespace["SGD"] is optim.SGD
        assert namespace["torch"].nn.utils.clip_grad_norm_ is namespace["clip_grad_norm_"]


def test_an_optimizer_that_torch_has_and_this_package_has_not():
    with pytest.raises(AttributeError, match="torch.optim.LBFGS is not in autograd_gpu"):
        optim.LBFGS  # noqa: B018
