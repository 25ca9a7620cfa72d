"""The text of kernels: it compiles for every architecture, and the machine code is as lean as it should be."""

import re
from dataclasses import replace
from functools import partial
from math import gcd

import numpy as np
import nvrtc
import pytest
from elementwise import OPS
from formulas import mean, program_of, reference, to_device, to_host
from numpy.testing import assert_allclose

from autograd_gpu import backends
from autograd_gpu.dtypes import BY_NAME, FLOAT, bool_, float32
from autograd_gpu.fusion import kernels
from autograd_gpu.fusion.cuda import Output, Source
from autograd_gpu.fusion.expr import Expr, const, slot, substitute, vjp
from autograd_gpu.fusion.flat import Flat, Stride
from autograd_gpu.fusion.reductions import COUNT, ELEMENT, MAX, POSITION, ROW, SUM, SUM_ALL, SUM_ROWS, UNIFORM
from autograd_gpu.fusion.reverse import pull
from autograd_gpu.fusion.rows import Rows, Tiling
from autograd_gpu.op import TABLE

nvrtc.require()
x, y, z, w = map(slot, range(4))
VECTORS = Stride(threads=256, vector=4, index="int")
NUMBERS = ("ld.param.f64", ".param .f64", "cvt.rn.f32.f64", "cvt.rn.ftz.f32.f64", ".reg")  # are passed in double
# these call CUDA's own sinf, cosf or tanf, which bring large numbers into range in double precision
LARGE = {"sin", "cos", "tan", "sinc", "lgamma", "digamma", "polygamma"}


def flat(roots, inputs, layouts, computed="float32", outputs=None, stride=VECTORS, reductions=(None, None, None, None)):
    """The text of a kernel over values that lie one after the other."""
    made = tuple(
        Output(root, ELEMENT, BY_NAME[name], reduction)
        for root, name, reduction in zip(roots, outputs or [computed] * len(roots), reductions, strict=False)
    )
    return Flat(Source("kernel", made, inputs, layouts, BY_NAME[computed]), stride).text()


def double(instructions):
    """The instructions in double precision but for those that numbers take."""
    return [line for line in instructions if re.search(r"\.f64\b", line) and not line.startswith(NUMBERS)]


def of_table(op):
    """The text of the value and the cotangents of ``op`` in single precision."""
    cotangents = [part for part in vjp(op) if part is not None]
    kinds = tuple(None if i in op.numbers else bool_ if i in op.conditions else float32 for i in range(op.arity))
    return flat(
        [Expr(op, *map(slot, range(op.arity))), *cotangents],
        (*kinds, float32, float32),
        "".join("n" if kind is None else "d" for kind in (*kinds, float32, float32)),
        outputs=["bool" if op.result == "bool" else "float32"] + ["float32"] * len(cotangents),
    )


@pytest.mark.parametrize(
    "op",
    [op for op in OPS if FLOAT in op.takes and op.result != "complex" and op.name not in LARGE],
    ids=lambda op: op.name,
)
def test_single_precision_stays_single(op):
    """A literal like 0.5 would be double, and the arithmetic with it 32 times slower."""
    instructions = nvrtc.instructions(of_table(op))
    assert not double(instructions)
    assert not [line for line in instructions if ".local" in line]


def test_flat_kernels_read_and_write_16_bytes_at_once():
    instructions = nvrtc.instructions(flat([x * y, x + y], (float32, float32), "dd"))
    assert sum(line.startswith("ld.global.nc.v4") for line in instructions) == 2
    assert sum(line.startswith("st.global.v4") for line in instructions) == 2


@pytest.mark.parametrize(("dtype", "vector"), [("float16", 8), ("bfloat16", 8), ("float64", 2), ("uint8", 16)])
def test_flat_kernels_of_other_dtypes_read_and_write_16_bytes_at_once(dtype, vector):
    computed = "float32" if vector == 8 else dtype
    text = flat([x * y], (BY_NAME[dtype],) * 2, "dd", computed, [dtype], Stride(256, vector, "int"))
    wide = [
        line for line in nvrtc.instructions(text) if re.match(r"(ld\.global\.nc|st\.global)\.v(4.[uf]32|2.f64)", line)
    ]
    assert len(wide) == 3


@pytest.mark.parametrize("index", ["int", "long long"])
def test_flat_kernels_never_divide_to_find_their_place(index):
    text = flat([x * y], (float32, float32), "dd", stride=Stride(256, 4, index))
    assert not [line for line in nvrtc.instructions(text) if line.startswith(("div", "rem"))]


def test_neighbours_share_random_words():
    def multiplications(vector):
        drawn = flat([x * Expr(UNIFORM, y, z)], (float32, None, None), "dnn", stride=Stride(256, vector, "int"))
        return sum(line.startswith("mul") for line in nvrtc.instructions(drawn))

    assert multiplications(4) < 3 * multiplications(1)  # those at the end are drawn one by one


# --- kernels of rows -------------------------------------------------------------------------------------


def softmax(v):
    e = TABLE.exp(v - Expr(MAX, v))
    return e / Expr(SUM, e)


CENTRE = x - mean(x, SUM)
LAYER_NORM = CENTRE * TABLE.rsqrt(mean(CENTRE * CENTRE, SUM) + const(1e-5)) * y + z
GRADIENTS = pull(LAYER_NORM, w, dict.fromkeys(range(4), ELEMENT))
PICKED = Expr(SUM, TABLE.where(TABLE.eq(y, Expr(POSITION)), x, const(0.0)))
SHORT, WARP, BLOCK, LONG = Tiling(8, 16, 1), Tiling(32, 4, 4), Tiling(256, 1, 4), Tiling(1024, 1, 0)
FOURS, TWOS, LONG_FOURS = Tiling(64, 2, 12, 4), Tiling(32, 4, 4, 2), Tiling(512, 1, 0, 4)


def counted(root):
    """``root`` with the number of elements of a row in slot 4."""
    return substitute(root, {Expr(COUNT): slot(4)})


def rows(outputs, inputs, layouts, tiling, computed="float32"):
    """The text of a kernel over rows; outputs are formula, level and the reduction over rows or all, if there is one."""
    made = tuple(Output(counted(root), level, BY_NAME[computed], reduction) for root, level, reduction in outputs)
    kinds = tuple(BY_NAME.get(name) for name in inputs)
    return Rows(Source("kernel", made, kinds, layouts, BY_NAME[computed]), tiling).text()


SOFTMAX = [(softmax(x), ELEMENT, None)]
NORM = [(LAYER_NORM, ELEMENT, None), (mean(x, SUM), ROW, None)]
NORM_BACK = [(GRADIENTS[0], ELEMENT, None), (GRADIENTS[1], ELEMENT, SUM_ROWS), (GRADIENTS[2], ELEMENT, SUM_ROWS)]
SINGLE = ("float32",) * 4 + (None,)

FLAT_VARIANTS = {
    "flat": lambda: flat([x * y, x + y], (float32, float32), "dd"),
    "flat, 64-bit index": lambda: flat([x * y], (float32, float32), "dd", stride=Stride(256, 4, "long long")),
    "flat, off by one": lambda: flat([x * y], (float32, float32), "dd", stride=Stride(256, 1, "int")),
    "flat, constant and number": lambda: flat([x * y + z], (float32, float32, None), "dkn"),
    "flat, half": lambda: flat([x * y], (BY_NAME["float16"], BY_NAME["bfloat16"]), "dd", outputs=["float16"]),
    "flat, double": lambda: flat([x * y], (BY_NAME["float64"], None), "dn", "float64", stride=Stride(256, 2, "int")),
    "flat, complex": lambda: flat(
        [x * y], (BY_NAME["complex64"], None), "dn", "complex64", stride=Stride(256, 2, "int")
    ),
    "flat, real to complex": lambda: flat([x * y], (float32, float32), "dd", outputs=["complex64"]),
    "flat, integers": lambda: flat([x * y], (BY_NAME["int64"], None), "dn", "int64", stride=Stride(256, 2, "int")),
    "flat, bool": lambda: flat([TABLE.where(x, y, 0.0)], (bool_, float32), "dd"),
    "flat, totals": lambda: flat([x * y, x], (float32, float32), "dd", reductions=[SUM_ALL, None]),
}
ROW_VARIANTS = {
    **{f"softmax, {t}": partial(rows, SOFTMAX, ("float32",), "d", t) for t in (SHORT, WARP, BLOCK, LONG)},
    **{f"softmax, {t}": partial(rows, SOFTMAX, ("float32",), "d", t) for t in (FOURS, LONG_FOURS)},
    "softmax, half, four at once": partial(rows, SOFTMAX, ("float16",), "d", FOURS),
    "softmax, double, two at once": partial(rows, SOFTMAX, ("float64",), "d", TWOS, "float64"),
    "layer norm, four at once": partial(rows, NORM, SINGLE, "dccdn", FOURS),
    "layer norm backward, four at once": partial(rows, NORM_BACK, SINGLE, "dccdn", FOURS),
    "cross entropy, four at once": partial(rows, [(PICKED, ROW, SUM_ROWS)], ("float32", "int64"), "dr", FOURS),
    "softmax, strided": partial(rows, SOFTMAX, ("float32",), "s", WARP),
    "softmax, half": partial(rows, SOFTMAX, ("float16",), "d", WARP),
    "softmax, double": partial(rows, SOFTMAX, ("float64",), "d", WARP, "float64"),
    "layer norm": partial(rows, NORM, SINGLE, "dccdn", BLOCK),
    "layer norm, column-wise and constant": partial(rows, NORM, SINGLE, "drkdn", WARP),
    "layer norm backward": partial(rows, NORM_BACK, SINGLE, "dccdn", BLOCK),
    "layer norm backward, short": partial(rows, NORM_BACK, SINGLE, "dccdn", SHORT),
    "cross entropy": partial(rows, [(PICKED, ROW, SUM_ROWS)], ("float32", "int64"), "dr", WARP),
    "totals": partial(rows, [(x * y, ELEMENT, SUM_ALL), (x, ELEMENT, None)], ("float32",) * 2, "ds", WARP),
    "complex": partial(rows, [(Expr(SUM, x * y), ROW, None)], ("complex64",) * 2, "dc", BLOCK, "complex64"),
}
VARIANTS = FLAT_VARIANTS | ROW_VARIANTS


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(a, marks=() if a in ("75", "120") else pytest.mark.slow) for a in nvrtc.ARCHITECTURES],
)
@pytest.mark.parametrize("text", VARIANTS.values(), ids=list(VARIANTS))
def test_every_kind_of_kernel_compiles_for_every_architecture(text, architecture):
    assert nvrtc.compiled(text(), architecture).code
    if text not in (VARIANTS[f"softmax, {LONG}"], VARIANTS[f"softmax, {LONG_FOURS}"]):  # not kept in registers
        assert not nvrtc.lacks_registers(text(), architecture)


@pytest.mark.parametrize("name", [name for name in ROW_VARIANTS if name.startswith(("softmax", "layer"))])
def test_rows_stay_in_registers(name):
    instructions = nvrtc.instructions(ROW_VARIANTS[name]())
    assert not [line for line in instructions if ".local" in line]
    if "double" not in name:
        assert not double(instructions)


KEEPERS = {  # kernels, and how many values of a column a thread keeps
    "softmax": (1, partial(rows, SOFTMAX, ("float32",), "d")),
    "layer norm": (3, partial(rows, NORM, SINGLE, "dccdn")),
    "layer norm backward": (5, partial(rows, NORM_BACK, SINGLE, "dccdn")),
}


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        *(("softmax", columns) for columns in (200, 1000, 4097, 16384, 20_000, 50_000)),
        *(("layer norm", columns) for columns in (200, 768, 4096, 16384)),
        *(("layer norm backward", columns) for columns in (200, 768, 4096, 8192)),
    ],
)
def test_tilings_leave_enough_registers(name, columns):
    held, text = KEEPERS[name]
    tiling = kernels.row_tiling(columns, held, gcd(columns, 4))
    if not tiling.items and "backward" in name:
        pytest.skip("rows too long to be kept: sums over rows are another program then")
    assert not nvrtc.lacks_registers(text(tiling))


def test_a_block_has_room_for_what_its_rows_share():
    def text(tiling):
        return rows([(Expr(SUM, x * y * z * w), ROW, None)], ("float64",) * 4, "rccc", tiling, "float64")

    assert nvrtc.compiled(text(kernels.row_tiling(2000, 3, 2, shared=3 * 8))).code
    with pytest.raises(AssertionError, match="too much shared"):
        nvrtc.compiled(text(Tiling(128, 2, 16, 2)))


# --- large arrays ----------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_places_beyond_31_bits_have_64(monkeypatch, rng):
    """From a size on that is set low here, as nobody wants to simulate 2**31 elements."""
    texts = []
    backend = backends.cuda()
    monkeypatch.setattr(kernels, "WIDE_INDEX", 1000)

    def record(text, name, make=backend.raw_kernel):
        texts.append(text)
        return make(text, name)

    record.cache_info = backend.raw_kernel.cache_info
    monkeypatch.setattr(backend, "raw_kernel", record)
    values = [rng.random(5001, dtype=np.float32) for _ in range(2)]
    made = replace(program_of([x * y, x + y], values), name="wide")
    targets = [None, ()]
    got = made.run([to_device(value, "cuda") for value in values], (5001,), targets)
    assert "long long place =" in texts[0]
    for mine, known in zip(got, reference(made, values, (5001,), targets), strict=True):
        assert_allclose(to_host(mine), known, rtol=1e-5)
