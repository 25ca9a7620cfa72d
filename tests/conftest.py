"""Devices, seeds and warnings for every test."""

import zlib
from collections.abc import Iterator

import numpy as np
import pytest

import autograd_gpu as ag
from autograd_gpu import backends, functions, planned, record, tracing

CUDA_MISSING = backends.why_no_cuda()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--plan-all``: backward passes on the CPU are planned at once, however small the arrays are."""
    parser.addoption("--plan-all", action="store_true", help=pytest_addoption.__doc__)


def pytest_configure(config: pytest.Config) -> None:
    """Where ``--plan-all`` says so, every array is large, and every graph came before."""
    if config.getoption("--plan-all"):
        planned.Plans.came_before = lambda _, __: True
        for names in (*(f.__globals__ for f in functions.FUNCTIONS), vars(record), vars(tracing)):
            names["LARGE"] = 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are skipped, saying why, where there is no CUDA device."""
    for item in items:
        if CUDA_MISSING is not None and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=CUDA_MISSING))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Each test that takes ``device`` runs on NumPy and, where a CUDA device is there, on CuPy."""
    return str(request.param)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the test's name alone."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    """No test inherits another's modes or defaults."""
    yield
    assert ag.get_default_dtype() is ag.float32, "a test left another default dtype behind"
