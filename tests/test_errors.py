"""The messages that users of torch know by heart: their exact text and type, here and (where it is installed) in torch."""

import copy
import warnings

import numpy as np
import pytest
from programs import message, outcome

import autograd_gpu as ag
from autograd_gpu.backends import why_no_cuda

ERRORS = {}


def raises(kind, text):
    """Enter a program that raises ``kind`` with exactly ``text``."""

    def enter(program):
        ERRORS[program.__name__] = program, kind, text
        return program

    return enter


def leaf(m, values=(1.0, 2.0, 3.0)):
    return m.tensor(list(values), requires_grad=True)


STALE = (
    "one of the variables needed for gradient computation has been modified by an inplace operation: [torch.FloatTensor [3]], "
    "which is output 0 of Exp, is at version 1; expected version 0 instead. Hint: enable anomaly detection to find the "
    "operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


@raises(RuntimeError, "grad can be implicitly created only for scalar outputs")
def backward_of_a_vector(m):
    (leaf(m) * 2).backward()


@raises(RuntimeError, "grad can be implicitly created only for real scalar outputs but got torch.complex64")
def backward_of_a_complex_number(m):
    m.tensor([1j], requires_grad=True).sum().backward()


@raises(RuntimeError, FREED)
def a_second_backward(m):
    y = leaf(m).exp().sum()
    y.backward()
    y.backward()


@raises(RuntimeError, FREED)
def a_second_grad(m):
    x = leaf(m)
    y = (x * x).sum()
    m.autograd.grad(y, x)
    m.autograd.grad(y, x)


@raises(RuntimeError, FREED)
def saved_values_that_were_freed(m):
    y = leaf(m).exp()
    y.sum().backward()
    return y.grad_fn._saved_result


@raises(RuntimeError, "element 0 of tensors does not require grad and does not have a grad_fn")
def backward_of_a_constant(m):
    m.ones(3).sum().backward()


@raises(RuntimeError, "element 1 of tensors does not require grad and does not have a grad_fn")
def backward_of_a_second_constant(m):
    m.autograd.backward([leaf(m).sum(), m.ones(3).sum()])


@raises(RuntimeError, "a leaf Variable that requires grad is being used in an in-place operation.")
def a_write_to_a_leaf(m):
    leaf(m).mul_(2)


@raises(RuntimeError, "a view of a leaf Variable that requires grad is being used in an in-place operation.")
def a_write_to_a_view_of_a_leaf(m):
    leaf(m)[0] = 2


@raises(RuntimeError, STALE)
def a_stale_result(m):
    y = leaf(m).exp()
    y.add_(1)
    y.sum().backward()


@raises(RuntimeError, "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
def numpy_of_a_leaf(m):
    leaf(m).numpy()


@raises(RuntimeError, "Only Tensors of floating point and complex dtype can require gradients")
def an_integer_leaf(m):
    m.tensor([1, 2], requires_grad=True)


@raises(RuntimeError, "only Tensors of floating point dtype can require gradients")
def requires_grad_of_integers(m):
    m.tensor([1, 2]).requires_grad_()


@raises(RuntimeError, "only Tensors of floating point and complex dtype can require gradients")
def requires_grad_set_on_integers(m):
    m.tensor([1, 2]).requires_grad = True


@raises(
    RuntimeError,
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that "
    "doesn't require differentiation use var_no_grad = var.detach().",
)
def clearing_the_flag_of_a_result(m):
    (leaf(m) * 2).requires_grad = False


@raises(
    RuntimeError,
    "Mismatch in shape: grad_output[0] has a shape of torch.Size([4]) and output[0] has a shape of torch.Size([3]).",
)
def a_seed_of_another_shape(m):
    (leaf(m) * 2).backward(m.ones(4))


@raises(
    RuntimeError,
    "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
    "grad_output[0] has a dtype of torch.complex64 and output[0] has a dtype of torch.float32.",
)
def a_complex_seed(m):
    (leaf(m) * 2).backward(m.ones(3, dtype=m.complex64))


@raises(RuntimeError, "got 2 tensors and 1 gradients")
def too_few_seeds(m):
    m.autograd.backward([leaf(m).sum(), leaf(m).sum()], [m.tensor(1.0)])


@raises(TypeError, "gradients can be either Tensors or None, but got int")
def a_seed_that_is_a_number(m):
    m.autograd.backward([leaf(m).sum()], [1])


@raises(
    RuntimeError,
    "The differentiated Tensor at index 1 appears to not have been used in the graph. Set allow_unused=True if this is the "
    "desired behavior.",
)
def an_unused_input(m):
    x = leaf(m)
    m.autograd.grad((x * 2).sum(), [x, leaf(m)])


@raises(RuntimeError, "One of the differentiated Tensors does not require grad")
def an_input_without_gradient(m):
    m.autograd.grad(leaf(m).sum(), m.ones(2))


@raises(RuntimeError, "`inputs` argument to `grad()` cannot be empty.")
def no_inputs_of_grad(m):
    m.autograd.grad(leaf(m).sum(), [])


@raises(RuntimeError, "`inputs` argument to `backward()` cannot be empty.")
def no_inputs_of_backward(m):
    leaf(m).sum().backward(inputs=[])


@raises(RuntimeError, "can't retain_grad on Tensor that has requires_grad=False")
def inputs_of_backward_without_gradient(m):
    leaf(m).sum().backward(inputs=[m.ones(2)])


@raises(
    ValueError,
    "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.",
)
def materialized_but_not_unused(m):
    x = leaf(m)
    m.autograd.grad(x.sum(), x, materialize_grads=True, allow_unused=False)


@raises(
    RuntimeError,
    "attempting to assign a gradient of size '[4]' to a tensor of size '[3]'. Please ensure that the gradient and the tensor "
    "are the same size",
)
def a_grad_of_another_size(m):
    leaf(m).grad = m.ones(4)


@raises(TypeError, "assigned grad expected to be a Tensor or None but got grad of type int")
def a_grad_that_is_a_number(m):
    leaf(m).grad = 3


@raises(
    RuntimeError,
    "attempting to assign a gradient with dtype 'double' to a tensor with grad_dtype 'Float'. The gradient must match the "
    "tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a specific "
    "dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may "
    "break downstream systems that assume they match.",
)
def a_grad_of_another_dtype(m):
    leaf(m).grad = m.ones(3, dtype=m.float64)


@raises(RuntimeError, "can't assign Variable as its own grad")
def a_tensor_as_its_own_grad(m):
    x = leaf(m)
    x.grad = x


def function(m, name, backward):
    members = {"forward": staticmethod(lambda ctx, x: x * 2), "backward": staticmethod(backward)}
    return type(name, (m.autograd.Function,), members)


@raises(RuntimeError, "function BadBackward returned an incorrect number of gradients (expected 1, got 2)")
def a_function_with_too_many_gradients(m):
    function(m, "Bad", lambda ctx, g: (g, g)).apply(leaf(m)).sum().backward()


@raises(
    RuntimeError,
    "Function Bad2Backward returned an invalid gradient at index 0 - got [5] but expected shape compatible with [3]",
)
def a_function_with_a_gradient_of_another_size(m):
    function(m, "Bad2", lambda ctx, g: m.ones(5)).apply(leaf(m)).sum().backward()


@raises(
    RuntimeError,
    "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with "
    "static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)",
)
def a_legacy_function(m):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(m, "Old", lambda ctx, g: g)()(leaf(m))


@raises(
    RuntimeError,
    "Output 0 of Unbind is a view and is being modified inplace. This view is the output of a function that returns multiple "
    "views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by "
    "an out-of-place one.",
)
def a_write_to_one_of_several_views(m):
    (leaf(m) * 1).unbind()[0].add_(1)


@raises(
    RuntimeError,
    "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case is "
    "ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either "
    "both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
    "be tracked).",
)
def a_write_to_a_view_made_without_recording(m):
    x = leaf(m) * 1
    with m.no_grad():
        v = x[:2]
    v.add_(1)


@raises(
    RuntimeError,
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation "
    "tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use "
    "`torch.no_grad()` instead of `torch.inference_mode()`.",
)
def saving_an_inference_tensor(m):
    with m.inference_mode():
        y = m.ones(3)
    y * leaf(m)


@raises(RuntimeError, "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
def requiring_the_gradient_of_an_inference_tensor(m):
    with m.inference_mode():
        y = m.ones(3)
    y.requires_grad = True


@raises(RuntimeError, "Inference tensors do not track version counter.")
def the_version_of_an_inference_tensor(m):
    with m.inference_mode():
        y = m.ones(3)
    return y._version


@raises(RuntimeError, "Function 'DivBackward0' returned nan values in its 1th output.")
def nan_in_anomaly_mode(m):
    x = m.tensor([0.0], requires_grad=True)
    with m.autograd.set_detect_anomaly(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (x / x).sum().backward()


@raises(RuntimeError, "cannot register a hook on a tensor that doesn't require gradient")
def a_hook_on_a_constant(m):
    m.ones(2).register_hook(print)


@raises(RuntimeError, "can't retain_grad on Tensor that has requires_grad=False")
def retaining_the_gradient_of_a_constant(m):
    m.ones(2).retain_grad()


@raises(RuntimeError, "hook '<lambda>' has changed the size of value")
def a_hook_that_changes_the_size(m):
    x = leaf(m)
    x.register_hook(lambda g: g[:2])
    (x * 2).sum().backward()


@raises(
    RuntimeError,
    "add(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.",
)
def out_with_gradient(m):
    m.add(leaf(m), 1, out=m.zeros(3))


@raises(RuntimeError, "Boolean value of Tensor with more than one value is ambiguous")
def truth_of_several_values(m):
    bool(m.ones(2))


@raises(RuntimeError, "a Tensor with 3 elements cannot be converted to Scalar")
def item_of_several_values(m):
    leaf(m).item()


@raises(RuntimeError, "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0")
def sizes_that_do_not_broadcast(m):
    leaf(m) + m.ones(4)


@raises(RuntimeError, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)")
def matrices_that_do_not_fit(m):
    m.ones(2, 3) @ m.ones(2, 3)


@raises(
    RuntimeError,
    "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous "
    "subspaces). Use .reshape(...) instead.",
)
def a_view_that_would_be_a_copy(m):
    m.ones(2, 3).t().view(6)


@raises(
    RuntimeError,
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were "
    "attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
    "https://github.com/pytorch/pytorch/pull/103001",
)
def deepcopy_of_a_result(m):
    copy.deepcopy(leaf(m) * 2)


PARAMETERS = [pytest.param(*case, id=name) for name, case in ERRORS.items()]


@pytest.mark.parametrize(("program", "kind", "text"), PARAMETERS)
def test_text_and_type(program, kind, text):
    error = outcome(lambda m, _: program(m), ag, "cpu")
    assert message(error) == text
    assert isinstance(error, kind)


@pytest.mark.parametrize(("program", "kind", "text"), PARAMETERS)
def test_torch_says_the_same(program, kind, text):
    torch = pytest.importorskip("torch")
    error = outcome(lambda m, _: program(m), torch, "cpu")
    if program is a_seed_that_is_a_number:  # torch looks at its shape first
        assert isinstance(error, TypeError | AttributeError)
        return
    assert message(error) == text
    assert isinstance(error, kind)


NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated "
    "during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use "
    ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
    "Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information."
)
CREATE_GRAPH = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which "
    "can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have to use "
    "this function, make sure to reset the .grad fields of your parameters to None after use to break the cycle and "
    "avoid the leak."
)
ANOMALY = (
    "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging."
)
SINGLE = (
    "Input #0 requires gradient and is not a double precision floating point or complex. This check will likely fail if "
    "all the inputs are not of double precision floating point or complex. "
)
TARGET = (
    "Using a target size (torch.Size([3])) that is different to the input size (torch.Size([3, 1])). This will likely "
    "lead to incorrect results due to broadcasting. Please ensure they have the same size."
)
WARNINGS = {
    "the gradient of a result": (lambda m: (leaf(m) * 2).grad, NON_LEAF_GRAD),
    "create_graph in backward": (lambda m: (leaf(m) * 2).sum().backward(create_graph=True), CREATE_GRAPH),
    "anomaly detection": (lambda m: m.autograd.detect_anomaly(), ANOMALY),
    "inputs of gradcheck": (lambda m: m.autograd.gradcheck(lambda x: x * 2, leaf(m), eps=1e-2, atol=1), SINGLE),
    "a target of another size": (lambda m: m.nn.functional.mse_loss(m.ones(3, 1), m.ones(3)), TARGET),
}


def warnings_of(program, m):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program(m)
    return [(w.category, message(w.message)) for w in caught]


@pytest.mark.parametrize("name", WARNINGS)
def test_warnings(name):
    program, text = WARNINGS[name]
    assert warnings_of(program, ag) == [(UserWarning, text)]


@pytest.mark.parametrize("name", WARNINGS)
def test_torch_warns_the_same(name):
    torch = pytest.importorskip("torch")
    program, text = WARNINGS[name]
    assert warnings_of(program, torch)[:1] == [(UserWarning, text)]


def test_only_inputs_is_deprecated():
    x = leaf(ag)
    with pytest.warns(FutureWarning, match="^only_inputs argument is deprecated and is ignored now"):
        ag.autograd.grad(x.sum(), x, only_inputs=False)


def test_grad_variables_is_deprecated():
    x = leaf(ag)
    with pytest.warns(FutureWarning, match="^`grad_variables` is deprecated. Use `grad_tensors` instead.$"):
        ag.autograd.backward(x * 2, grad_variables=ag.ones(3))
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ag.autograd.backward(3), "'int' object is not iterable"),
        (lambda: ag.autograd.backward([3]), "expected Tensors or GradientEdges, but got int"),
        (lambda: ag.autograd.grad([leaf(ag).sum()], ["x"]), "expected Tensors or GradientEdges, but got str"),
        (lambda: leaf(ag).sum().backward(retain=True), "unexpected keyword argument 'retain'"),
    ],
)
def test_wrong_types(call, text):
    with pytest.raises(TypeError, match=text):
        call()


@pytest.mark.skipif(why_no_cuda() is None, reason="there is a CUDA device")
def test_what_is_missing_for_cuda():
    with pytest.raises(AssertionError, match="CUDA was asked for, .*pip install"):
        ag.ones(2, device="cuda")


def test_nothing_changes_where_an_error_is_raised(device):
    x = ag.tensor([1.0, 2.0, 3.0], device=device, requires_grad=True)
    (x * x).sum().backward()
    grad, values = x.grad, x.grad.tolist()
    for wrong in (
        lambda: x.mul_(2),
        lambda: setattr(x, "grad", ag.ones(4, device=device)),
        lambda: setattr(x, "grad", 3),
        (x * x).backward,
        lambda: (x * x).backward(ag.ones(4, device=device)),
        lambda: x.__setitem__(0, 5),
        lambda: (x * x).sum().backward(inputs=[]),
        lambda: ag.autograd.grad((x * x).sum(), [x, ag.ones(1, device=device, requires_grad=True)]),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            wrong()
        assert x.grad is grad
        assert x.grad.tolist() == values
        assert x.tolist() == [1.0, 2.0, 3.0]
        assert x._version == 0
        assert x.is_leaf
    np.testing.assert_array_equal(x.grad.tolist(), [2, 4, 6])
