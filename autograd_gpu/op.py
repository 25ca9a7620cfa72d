"""What an operation is: one record, from which everything else about it follows."""

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, overload

import numpy as np

from . import backends
from .dtypes import BOOL, COMPLEX, FLOAT, INT, bool_, dtype, get_default_dtype
from .errors import DtypeError

Arrays = Any  # numpy.ndarray | cupy.ndarray
ANY = (BOOL, INT, FLOAT, COMPLEX)
REAL = (BOOL, INT, FLOAT)
NUMBER = (INT, FLOAT, COMPLEX)
INTEGRAL = (BOOL, INT)


class Table(dict[str, Any]):  # Op or ArrayOp, whose parameters differ
    """Every operation by name; ``TABLE.exp`` is ``TABLE["exp"]``, so rules can name each other freely."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no operation is called {name!r}")

    def define(self, op: "Operation") -> None:
        if self.setdefault(op.name, op) is not op or hasattr(dict, op.name):
            raise ValueError(f"operation {op.name!r} is defined twice")
        vars(self)[op.name] = op


TABLE = Table()

# Python's operators, by the operation that each one is; reflected ones swap the operands.
OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
COMPARISONS = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne"}
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}


def node_name(name: str) -> str:
    """``"log_softmax"`` -> ``"LogSoftmaxBackward0"``, ``"log1p"`` -> ``"Log1PBackward0"``: torch's way."""
    return re.sub(r"(?:^|_|(?<=\d))([a-z])", lambda letter: letter[1].upper(), name) + "Backward0"


class Operation:
    """What the two kinds of record share: a name, operands, a node name, and dispatch."""

    name: str
    title: str
    operands: tuple[str, ...]
    takes: tuple[int, ...]

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Run on what the operands are: the first that knows how, decides; else they are arrays."""
        raise NotImplementedError

    def refuse(self, d: dtype) -> None:
        """Raise unless the operation takes operands of dtype ``d``."""
        if d.category not in self.takes:
            raise DtypeError(f'"{self.title}" not implemented for {d.scalar_name!r}')

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.operands)})>"


def _argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments; of NumPy's own built-in ones (``np.where``) they are not always known."""
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:
        return ()


class Op(Operation):
    """An elementwise operation.

    ``signature`` holds torch's arguments ("input, other=1"); ``cuda`` the CUDA expression of ``{0}``,
    ``{1}`` … and ``helpers`` the CUDA functions that it calls beyond CUDA's own; ``partials`` gets the
    operands and the result as symbols and returns the derivative of the result by each operand (None where
    there is none; NotImplemented for all: a node that refuses to run); ``numpy`` is a function of NumPy
    arrays, which may take ``out``.

    ``result`` says what comes out: ``"same"`` dtype as computed in, ``"float"`` (integers are computed in
    the default floating dtype), ``"bool"``, ``"real"`` (the real dtype of a complex one), ``"real float"``,
    or ``"complex"`` (real numbers are computed as complex ones). ``refusals`` are the words for operands of
    categories that it does not take, and ``mixed`` those for a bool operand beside others.
    ``conditions`` (by position) are arrays, ``numbers`` Python numbers, that take no part in dtype promotion
    nor in the graph. ``title`` is torch's name in messages, where it is another; ``nodes`` names the node
    where the operands at these positions are numbers.
    ``complex_vjp(g, *operands, y)`` gives the vjp of complex operands of an operation that is not holomorphic.
    ``check(*operands)`` raises for Tensors and numbers that do not go together; ``check_dtypes`` does so, too,
    and is not asked where all tensors have one dtype and numbers are real.

    The functions ``name`` and, unless ``in_place`` is False, ``name_`` are ``public``: of the package and of
    Tensor, also under ``aliases``; ``functional``: of ``nn.functional``. What is not ``entered`` in the table is
    none of these.
    """

    def __init__(  # one argument per column of the table
        self,
        name: str,
        signature: str,
        cuda: str,
        partials: Any,
        doc: str,
        *,
        numpy: Callable[..., Arrays],
        helpers: tuple[str, ...] = (),
        result: str = "same",
        takes: tuple[int, ...] = ANY,
        refusals: Mapping[int, str] = MappingProxyType({}),
        mixed: str | None = None,
        title: str | None = None,
        node: str | None = None,
        nodes: Mapping[tuple[int, ...], str] = MappingProxyType({}),
        domain: tuple[float, float] = (-2.0, 2.0),
        conditions: tuple[int, ...] = (),
        numbers: tuple[int, ...] = (),
        complex_vjp: Callable[..., tuple[Any, ...]] | None = None,
        check: Callable[..., None] | None = None,
        check_dtypes: Callable[..., None] | None = None,
        public: bool = True,
        functional: bool = False,
        in_place: bool = True,
        aliases: tuple[str, ...] = (),
        entered: bool = True,
    ) -> None:
        self.name, self.signature, self.cuda, self.helpers = name, signature, cuda, helpers
        self.partials, self.doc, self.numpy = partials, doc, numpy
        arguments = [word.partition("=") for word in signature.replace(" ", "").split(",")]
        self.operands = tuple(argument for argument, _, _ in arguments)
        self.defaults = {argument: default for argument, equals, default in arguments if equals}
        self.arity = len(self.operands)
        self.result, self.takes, self.refusals, self.mixed = result, takes, refusals, mixed
        self.conditions, self.numbers = conditions, numbers
        self.title = title or name
        self.node, self.nodes = node or node_name(name), nodes
        self.domain, self.complex_vjp = domain, complex_vjp
        self.check, self.check_dtypes = check, check_dtypes
        self.public, self.functional, self.in_place, self.aliases = public, functional, in_place, aliases
        # whether ``numpy`` can write its result into an array
        self.writes = isinstance(numpy, np.ufunc) or "out" in _argument_names(numpy)
        self.direct: Callable[..., Any] | None = None  # its function of Tensors, see functions.py
        if entered:
            TABLE.define(self)

    def __call__(self, *operands: Any, out: Any = None) -> Any:
        """Run on what the operands are; the Tensor ``out`` is written to instead of made."""
        for operand in operands:
            if (apply := getattr(type(operand), "_apply_op", None)) is not None:
                return apply(self, operands, {} if out is None else {"out": out})
        if not any(hasattr(operand, "dtype") for operand in operands):
            raise TypeError(self.strange(0, operands[0]))
        return backends.of_any(operands).elementwise(self, operands)

    def strange(self, position: int, value: Any) -> str:
        """What to say of an operand that is none."""
        place = "must be Number" if position in self.numbers else f"(position {position + 1}) must be Tensor"
        return f"{self.title}(): argument '{self.operands[position]}' {place}, not {type(value).__name__}"

    def refuse(self, d: dtype) -> None:
        if d.category not in self.takes:
            text = self.refusals.get(d.category, f'"{self.title}_cpu" not implemented for {{dtype!r}}')
            raise DtypeError(text.format(dtype=d.scalar_name))

    @property
    def underivable(self) -> str:
        """What a node says that refuses to run."""
        return f"derivative for aten::{self.name} is not implemented"

    def node_for(self, numbers: tuple[int, ...]) -> str:
        """The name of the node where the operands at the positions ``numbers`` are Python numbers."""
        return self.nodes.get(numbers, self.node)

    def computes_in(self, promoted: dtype) -> dtype:
        """The dtype that operands of dtype ``promoted`` are computed in."""
        self.refuse(promoted)
        if self.result == "complex":
            return promoted.to_complex()
        if self.result in ("float", "real float") and promoted.category < FLOAT:
            return get_default_dtype()
        return promoted

    def gives(self, computed: dtype) -> dtype:
        """The dtype of the result when computed in ``computed``."""
        match self.result:
            case "bool":
                return bool_
            case "real" | "real float":
                return computed.to_real()
        return computed


class ArrayOp(Operation):
    """An operation that is not elementwise.

    ``forward(*operands, **params)`` works on the arrays of either library and returns one array or a tuple.
    ``vjp`` gives each operand's cotangent; the names of a rule's arguments say what is saved for it:
    ``g`` (the cotangent of the result), an operand's name (its array), ``y`` (the result),
    ``shape`` (of the operand concerned), or a parameter's name. Rules are written with operations of the
    table, so they run on arrays in a backward pass and on Tensors when a graph of it is wanted.

    A last operand without a rule, written ``*indices``, stands for any number; rules get it as a tuple.

    A ``view`` shares its operand's memory. ``variadic`` operations take any number of operands under
    one name; their one rule, which may name ``shapes``, returns all cotangents. Of several results, all
    that are floating have gradients (``g`` is then ``Parts``: ``g.get(i)``), unless ``differentiable=1``
    says that only the first has (``g`` is its cotangent). The cotangents of an operation that ``fits`` may
    have the result's type and broadcast shape: they are cast and summed to fit the operands. ``title`` is
    torch's name in messages, where it is another. What is not ``entered`` in the table is its maker's own.
    ``like`` is the elementwise operation of complex numbers that has the same result, if there is one.
    """

    node_base: Any = None  # the class of its nodes, where that is another than ``ArrayOpNode``

    def __init__(
        self,
        name: str,
        operands: str,
        forward: Callable[..., Any],
        vjp: Mapping[str, Callable[..., Any]] | Callable[..., Any] | None,
        doc: str,
        *,
        takes: tuple[int, ...] = ANY,
        node: str | None = None,
        view: bool = False,
        variadic: bool = False,
        differentiable: int | None = None,
        fits: bool = False,
        like: Op | None = None,
        title: str | None = None,
        entered: bool = True,
    ) -> None:
        self.name, self.forward, self.doc, self.takes = name, forward, doc, takes
        self.title = title or name
        self.operands = tuple(word.strip(" *") for word in operands.split(","))
        self.starred = len(self.operands) - 1 if "*" in operands else None
        self.node = node or node_name(name)
        self.view, self.variadic = view, variadic
        self.differentiable, self.fits, self.like = differentiable, fits, like
        if callable(vjp):
            vjp = {self.operands[0]: vjp}
        self.rules = tuple((vjp or {}).get(operand) for operand in self.operands)
        self.has_rules = any(self.rules)
        self.needs = tuple(rule and tuple(inspect.signature(rule).parameters) for rule in self.rules)
        # its functions of Tensors by the number of operands, see array_calls.py
        self.on_tensors: dict[int, Callable[[tuple[Any, ...], dict[str, Any]], Any]] = {}
        if entered:
            TABLE.define(self)

    def __call__(self, *operands: Any, **params: Any) -> Any:
        for operand in operands:
            if operand.__class__ is not np.ndarray and hasattr(operand, "_apply_op"):  # to find none takes long
                return operand._apply_op(self, operands, params)
        return self.forward(*operands, **params)

    def operands_of(self, count: int) -> tuple[str, ...]:
        """The names of ``count`` operands, the last of which may be several."""
        return self.operands + self.operands[-1:] * (count - len(self.operands))


PUBLIC: dict[str, Callable[..., Any]] = {}  # what users call, by torch's name
METHODS: dict[str, Callable[..., Any]] = {}  # those that are methods of Tensor too
FUNCTIONAL: dict[str, Callable[..., Any]] = {}  # those in nn.functional
IN_PLACE: dict[str, Callable[..., Any]] = {}  # those that Tensor has as ``name_``, too


Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def public(
    *,
    name: str | None = None,
    method: bool = True,
    function_too: bool = True,
    functional: bool = False,
    in_place: bool = False,
) -> Callable[[Function], Function]: ...
@overload
def public(
    function: Function,
    *,
    name: str | None = None,
    method: bool = True,
    function_too: bool = True,
    functional: bool = False,
    in_place: bool = False,
) -> Function: ...
def public(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    method: bool = True,
    function_too: bool = True,
    functional: bool = False,
    in_place: bool = False,
) -> Any:
    """Register a function of operations under torch's name: in the package, as a method, in nn.functional.

    ``in_place`` gives Tensor the method ``name_``, which writes the result into the tensor; if the function
    takes ``out``, it is called with the tensor itself where nothing is recorded, and so needs no copy.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        known_as = name or function.__name__
        homes = (function_too, PUBLIC), (method, METHODS), (functional, FUNCTIONAL), (in_place, IN_PLACE)
        for wanted, registry in homes:
            if wanted and registry.setdefault(known_as, function) is not function:
                raise ValueError(f"{known_as} is defined twice")
        return function

    return register if function is None else register(function)


@overload
def functional(function: Function) -> Function: ...
@overload
def functional(*, name: str) -> Callable[[Function], Function]: ...
def functional(function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
    """Register a function that PyTorch has in nn.functional alone."""
    register = public(name=name, method=False, function_too=False, functional=True)
    return register if function is None else register(function)
