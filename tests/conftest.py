"""What all tests share: Keras on JAX, one kernel cache per session, golden files, fixed seeds.

Options:
    --update-golden     write golden files instead of comparing with them
    --kernel-cache DIR  keep compiled kernels in DIR between sessions (default: a fresh directory for each session)
"""

from __future__ import annotations

import ctypes
import difflib
import os
import random
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

# Before anything imports keras or jax.
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What a developer has set in the shell must not change what is tested.
for _name in [name for name in os.environ if name.startswith("KGRAPH_")]:
    del os.environ[_name]
os.environ["KGRAPH_VERIFY"] = "1"

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kgraph")
    group.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")
    group.addoption("--kernel-cache", metavar="DIR", help="keep compiled kernels in DIR between sessions")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU: libcuda.so.1 found no device"))


@cache
def has_gpu() -> bool:
    """Ask the driver, without loading numba or jax."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of compiled kernels: one for the whole session, so that xdist's workers and subprocesses share it.

    Each worker's base directory lies in the one of the session, hence the parent.
    """
    kept = request.config.getoption("--kernel-cache")
    if kept:
        directory = Path(kept).resolve()
    else:
        base = tmp_path_factory.getbasetemp()
        directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kgraph-cache"
    directory.mkdir(parents=True, exist_ok=True)
    os.environ["KGRAPH_CACHE"] = str(directory)
    return directory


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Start every test from the same global random state, whichever test ran before it."""
    random.seed(1234)
    np.random.seed(1234)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the name of the test; the seed is printed, so it is shown when the test fails."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"rng seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("ir/relu.kg", text)`: compare text with tests/golden/ir/relu.kg, or write it under --update-golden."""
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if not text.endswith("\n"):
            text += "\n"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            return
        if not path.exists():
            pytest.fail(f"tests/golden/{name} does not exist; look at the text and run with --update-golden\n{text}")
        expected = path.read_bytes().decode()
        if expected != text:
            diff = difflib.unified_diff(
                expected.splitlines(), text.splitlines(), f"tests/golden/{name}", "now", lineterm=""
            )
            pytest.fail("the text is not the golden one (--update-golden accepts it):\n" + "\n".join(diff))

    return check
