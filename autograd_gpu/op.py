"""What an operation is: one record, from which everything else about it follows."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from . import backends
from .dtypes import BOOL, COMPLEX, FLOAT, INT, bool_, dtype, get_default_dtype
from .errors import DtypeError

Arrays = Any  # numpy.ndarray | cupy.ndarray
ANY = (BOOL, INT, FLOAT, COMPLEX)
REAL = (BOOL, INT, FLOAT)
NUMBER = (INT, FLOAT, COMPLEX)
INTEGRAL = (BOOL, INT)


class Table(dict[str, "Op | ArrayOp"]):
    """Every operation by name; ``TABLE.exp`` is ``TABLE["exp"]``, so rules can name each other freely."""

    def __getattr__(self, name: str) -> "Op | ArrayOp":
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no operation is called {name!r}") from None

    def define(self, op: "Op | ArrayOp") -> None:
        if self.setdefault(op.name, op) is not op:
            raise ValueError(f"operation {op.name!r} is defined twice")


TABLE = Table()

# Python's operators, by the operation that each one is; reflected ones swap the operands.
OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
COMPARISONS = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne"}
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}


def node_name(name: str) -> str:
    """``"log_softmax"`` -> ``"LogSoftmaxBackward0"``, torch's way of naming nodes."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_")) + "Backward0"


class Operation:
    """What the two kinds of record share: a name, operands, a node name, and dispatch."""

    name: str
    operands: tuple[str, ...]
    takes: tuple[int, ...]

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Run on what the operands are: the first that knows how, decides; else they are arrays."""
        for operand in operands:
            if (apply := getattr(type(operand), "_apply_op", None)) is not None:
                return apply(self, operands, params)
        return self.on_arrays(*operands, **params)

    def on_arrays(self, *operands: Any, **params: Any) -> Any:
        raise NotImplementedError

    def refuse(self, d: dtype) -> None:
        """Raise unless the operation takes operands of dtype ``d``."""
        if d.category not in self.takes:
            raise DtypeError(f'"{self.name}" not implemented for {d.scalar_name!r}')

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.operands)})>"


class Op(Operation):
    """An elementwise operation.

    ``signature`` holds torch's argument names ("input, other"); ``cuda`` the CUDA expression of ``{0}``,
    ``{1}`` …; ``partials`` gets the operands and the result as symbols and returns the derivative of the
    result by each operand (None where there is none); ``numpy`` is a function of NumPy arrays.

    ``result`` says what comes out: ``"same"`` dtype as computed in, ``"float"`` (integers are computed in
    the default floating dtype), ``"bool"``, or ``"real"`` (the real dtype of a complex one).
    ``conditions`` are the operands (by position) that do not take part in dtype promotion.
    ``holomorphic`` is False where the vjp of complex operands is given by ``complex_vjp(g, *operands, y)``.
    """

    def __init__(  # one argument per column of the table
        self,
        name: str,
        signature: str,
        cuda: str,
        partials: Callable[..., tuple[Any, ...]] | None,
        doc: str,
        *,
        numpy: Callable[..., Arrays],
        result: str = "same",
        takes: tuple[int, ...] = ANY,
        node: str | None = None,
        domain: tuple[float, float] = (-2.0, 2.0),
        conditions: tuple[int, ...] = (),
        complex_vjp: Callable[..., tuple[Any, ...]] | None = None,
        public: bool = True,
    ) -> None:
        self.name, self.cuda, self.partials, self.doc, self.numpy = name, cuda, partials, doc, numpy
        self.operands = tuple(word.split("=")[0].strip() for word in signature.split(","))
        self.defaults = {
            word.split("=")[0].strip(): word.split("=")[1].strip() for word in signature.split(",") if "=" in word
        }
        self.arity = len(self.operands)
        self.result, self.takes, self.conditions = result, takes, conditions
        self.node = node or node_name(name)
        self.domain, self.complex_vjp, self.public = domain, complex_vjp, public
        TABLE.define(self)

    def computes_in(self, promoted: dtype) -> dtype:
        """The dtype that operands of dtype ``promoted`` are computed in."""
        self.refuse(promoted)
        if self.result == "float" and promoted.category < FLOAT:
            return get_default_dtype()
        return promoted

    def gives(self, computed: dtype) -> dtype:
        """The dtype of the result when computed in ``computed``."""
        match self.result:
            case "bool":
                return bool_
            case "real":
                return computed.to_real()
        return computed

    def on_arrays(self, *operands: Any) -> Arrays:
        return backends.of_any(operands).elementwise(self, operands)


class ArrayOp(Operation):
    """An operation that is not elementwise.

    ``forward(*operands, **params)`` works on the arrays of either library and returns one array or a tuple.
    ``vjp`` gives each operand's cotangent; the names of a rule's arguments say what is saved for it:
    ``g`` (the cotangent of the result), an operand's name (its array), ``y`` (the result),
    ``shape`` (of the operand concerned), or a parameter's name. Rules are written with operations of the
    table, so they run on arrays in a backward pass and on Tensors when a graph of it is wanted.

    A ``view`` shares its operand's memory. ``variadic`` operations take any number of operands under
    one name; their one rule, which may name ``shapes``, returns all cotangents. Of several results, all
    that are floating have gradients (``g`` is then ``Parts``: ``g.get(i)``), unless ``differentiable=1``
    says that only the first has (``g`` is its cotangent). The cotangents of an operation that ``fits`` may
    have the result's type and broadcast shape: they are cast and summed to fit the operands.
    """

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
    ) -> None:
        self.name, self.forward, self.doc, self.takes = name, forward, doc, takes
        self.operands = tuple(word.strip() for word in operands.split(","))
        self.node = node or node_name(name)
        self.view, self.variadic = view, variadic
        self.differentiable, self.fits = differentiable, fits
        if callable(vjp):
            vjp = {self.operands[0]: vjp}
        self.rules = tuple((vjp or {}).get(operand) for operand in self.operands)
        self.needs = tuple(rule and tuple(inspect.signature(rule).parameters) for rule in self.rules)
        TABLE.define(self)

    def on_arrays(self, *operands: Any, **params: Any) -> Any:
        return self.forward(*operands, **params)


PUBLIC: dict[str, Callable[..., Any]] = {}  # what users call, by torch's name
METHODS: dict[str, Callable[..., Any]] = {}  # those that are methods of Tensor too
FUNCTIONAL: dict[str, Callable[..., Any]] = {}  # those in nn.functional


def public(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    method: bool = True,
    function_too: bool = True,
    functional: bool = False,
) -> Any:
    """Register a function of operations under torch's name: in the package, as a method, in nn.functional."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        known_as = name or function.__name__
        for wanted, registry in ((function_too, PUBLIC), (method, METHODS), (functional, FUNCTIONAL)):
            if wanted and registry.setdefault(known_as, function) is not function:
                raise ValueError(f"{known_as} is defined twice")
        return function

    return register if function is None else register(function)
