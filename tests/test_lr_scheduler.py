"""Learning rates against PyTorch's."""

import weakref

import pytest
from test_optim import raised

import autograd_gpu as ag
from autograd_gpu import optim
from autograd_gpu.optim import lr_scheduler

torch = pytest.importorskip("torch")


class Decay:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


CASES = [
    lambda s, o, **more: s.StepLR(o, 3, **more),
    lambda s, o, **more: s.StepLR(o, step_size=1, gamma=0.7, **more),
    lambda s, o, **more: s.LambdaLR(o, lambda epoch: 1 / (1 + epoch), **more),
    lambda s, o, **more: s.LambdaLR(o, [Decay(0.5), lambda epoch: epoch], **more),
    lambda s, o, **more: s.CosineAnnealingLR(o, 4, **more),
    lambda s, o, **more: s.CosineAnnealingLR(o, T_max=3, eta_min=0.01, **more),
]


def optimizer_of(t, lr=0.5):
    groups = [{"params": [t.ones(1, requires_grad=True)]}, {"params": [t.ones(1, requires_grad=True)], "lr": 0.1}]
    return t.optim.SGD(groups, lr=lr)


def pairs(make, **more):
    for t in ag, torch:
        optimizer = optimizer_of(t)
        yield optimizer, make(t.optim.lr_scheduler, optimizer, **more)


@pytest.mark.parametrize("make", CASES)
def test_rates_are_those_of_torch(make):
    (mine, scheduler), (theirs, other) = pairs(make)
    for _ in range(12):
        assert scheduler.get_last_lr() == other.get_last_lr() == [group["lr"] for group in mine.param_groups]
        for part in mine, theirs, scheduler, other:
            part.step()
    assert repr(mine) == repr(theirs)
    assert scheduler.last_epoch == other.last_epoch


@pytest.mark.parametrize("make", CASES)
def test_going_on_from_a_saved_state(make):
    (optimizer, scheduler), (other, theirs) = pairs(make)
    for part in (optimizer, scheduler, other, theirs) * 3:
        part.step()
    again = optimizer_of(ag)
    resumed = make(lr_scheduler, again)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for part in (again, resumed, other, theirs) * 3:
        part.step()
    assert resumed.get_last_lr() == theirs.get_last_lr()
    assert set(theirs.state_dict()) - {"_get_lr_called_within_step", "_is_initial"} == set(resumed.state_dict())


def test_rates_that_are_tensors():
    lr = ag.tensor(1.0)
    optimizer = optim.SGD([ag.ones(1, requires_grad=True)], lr=lr)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.5
    assert scheduler.get_last_lr()[0].item() == 0.5


def test_a_step_too_early():
    scheduler = lr_scheduler.StepLR(optimizer_of(ag), 1)
    with pytest.warns(UserWarning, match="Detected call of `lr_scheduler.step..` before `optimizer.step..`"):
        scheduler.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.optim.lr_scheduler.StepLR(3, 1),
        lambda t: t.optim.lr_scheduler.StepLR(optimizer_of(t), 1, last_epoch=2),
        lambda t: t.optim.lr_scheduler.LambdaLR(optimizer_of(t), [Decay(1)]),
    ],
)
def test_bad_arguments(make):
    mine, theirs = raised(lambda: make(ag)), raised(lambda: make(torch))
    assert str(mine) == str(theirs)
    assert type(mine) is type(theirs)


def test_a_scheduler_of_your_own():
    class Nothing(lr_scheduler.LRScheduler):
        pass

    with pytest.raises(NotImplementedError, match="Nothing has no get_lr"):
        Nothing(optimizer_of(ag))
    with pytest.raises(AttributeError, match="torch.optim.lr_scheduler.OneCycleLR is not in autograd_gpu"):
        lr_scheduler.OneCycleLR  # noqa: B018


def test_nothing_outlives_the_two():
    optimizer = optimizer_of(ag)
    known, scheduler = weakref.ref(optimizer), lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    del optimizer, scheduler
    assert known() is None
