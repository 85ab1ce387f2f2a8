"""`KGRAPH_GUARD`: nothing is read or written past a buffer, and a kernel that does is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
import kgraph.codegen
from kgraph.codegen import CompileOptions
from kgraph.codegen.cpu.guarded import GuardedExecutable
from kgraph.codegen.cpu.pool import get_num_threads, set_num_threads
from kgraph.codegen.cpu.redzones import ZONE, RedZones
from kgraph.config import Guard
from kgraph.errors import InternalError
from tests.codegen.guarding import check_guarded
from tests.examples.scripts import load
from tests.examples.test_run import QUICK
from tests.numeric.cases import SHEETS, build
from tests.numeric.models import MODELS
from tests.numeric.sheet import Sheet

ROOT = Path(__file__).parents[3]
ALL = [(name, dtype) for name, (_, dtypes) in SHEETS.items() for dtype in dtypes]


@pytest.fixture
def threads() -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(3)
    yield
    set_num_threads(before)


# ----------------------------------------------------------------------------------------------------------------------
# Zones


@pytest.mark.parametrize("form", ["zones", "pages"])
def test_buffers_are_apart_and_poisoned(form: Guard) -> None:
    sizes = [0, 1, 3, 64, 65, 4096, 10_000]
    zones = RedZones([(f"b{size}", size) for size in sizes], form)
    for number, size in enumerate(sizes):
        zones.poison(number)
        area = zones.array(number)
        assert len(area) == size
        assert zones.address(number) % 64 == 0 or form == "pages"
        for dtype in (np.float32, np.float64):
            whole = area[: size // 8 * 8].view(dtype)
            assert np.isnan(whole).all()
        assert (area[: size // 8 * 8].view(np.int32) < 0).all()
        area[...] = 0
    assert zones.damage() is None
    if form == "pages":
        ends = [(zones.address(k) + size) % 4096 for k, size in enumerate(sizes)]
        assert ends == [0] * len(sizes)


@pytest.mark.parametrize(
    ("at", "says"), [(0, "0 bytes behind its end"), (ZONE - 1, "1 bytes in front"), (5, "5 bytes")]
)
def test_a_stray_byte_is_found_once(at: int, says: str) -> None:
    zones = RedZones([("first", 64), ("second", 10)], "zones")
    end = zones.offsets[0] + 64
    zones.memory[end + at] ^= 1
    assert says in str(zones.damage())
    assert zones.damage() is None


def test_bytes_of_a_buffer_in_the_word_of_a_zone_are_its_own() -> None:
    zones = RedZones([("odd", 5)], "zones")
    zones.array(0)[...] = 1
    assert zones.damage() is None
    assert (zones.array(0) == 1).all()
    zones.memory[zones.offsets[0] + 5] ^= 8
    found = zones.damage()
    assert found is not None and (found.buffer, found.offset, found.changed) == ("odd", 5, 1)
    assert (zones.array(0) == 1).all()


def test_a_copied_zone_is_seen() -> None:
    """A stray copy carries the pattern of another place."""
    zones = RedZones([("a", 640), ("b", 640)], "zones")
    zones.poison(0)
    end = zones.offsets[1] + 640
    zones.memory[end : end + 64] = zones.memory[zones.offsets[0] - 64 : zones.offsets[0]]
    assert zones.damage() is not None
    zones.memory[end : end + 64] = zones.array(0)[:64]
    assert zones.damage() is not None


# ----------------------------------------------------------------------------------------------------------------------
# Faults that are found


def two_layers() -> tuple[Any, dict[str, np.ndarray]]:
    made = MODELS["mlp_train"]()
    return kgraph.codegen.compile(made.graph), made.arrays({"B": 7})


def guarded(program: Any, arrays: dict[str, np.ndarray], form: Guard = "zones") -> GuardedExecutable:
    params = {value.name: arrays[value.name] for value in program.graph.params}
    exe = GuardedExecutable(program, {"B": 7}, params, form)
    for value in program.graph.inputs:
        exe.input(value.name)[...] = arrays[value.name]
    return exe


def pointers(exe: GuardedExecutable, name: str) -> np.ndarray:
    """The pointer table of a kernel's first call."""
    table = exe._table
    entry = next(number for number, node in table.nodes.items() if node.attrs["name"] == name)
    address = int(table.schedule.entries[entry, 2])
    return next(array for array in table.keep if array.ctypes.data == address)


@pytest.mark.parametrize("shift", [4, -8])
def test_a_kernel_that_writes_past_a_result_is_named(shift: int) -> None:
    program, arrays = two_layers()
    exe = guarded(program, arrays)
    node = next(node for node in program.kernels if node.attrs["family"] == "gemm")
    pointers(exe, node.attrs["name"])[-1] += shift
    side = "0 bytes behind its end" if shift > 0 else "8 bytes in front of it"
    with pytest.raises(InternalError, match=f"(?s)kernel {node.attrs['name']} wrote.*program .*, B = 7.*{side}"):
        exe.run()


def test_a_kernel_that_reads_past_an_operand_gives_nan() -> None:
    program, arrays = two_layers()
    exe = guarded(program, arrays)
    node = next(node for node in program.kernels if node.attrs["family"] == "gemm")
    pointers(exe, node.attrs["name"])[0] += 4
    exe.run()
    assert np.isnan(exe.output(0)).any()


@pytest.mark.usefixtures("threads")
def test_a_kernel_that_asks_for_too_little_scratch_is_named() -> None:
    s = Sheet("packed")
    s.out("y", s.b.matmul(s.input("f32[B, 256]"), s.param("f32[64, 256]"), transpose_b=True), "sum")
    program = kgraph.codegen.compile(s.graph)
    arrays = s.arrays({"B": 20})
    (kernel,) = program.kernels.values()  # type: ignore[attr-defined]
    check_guarded(program, {"B": 20}, arrays)
    kernel.scratch = 64 * 256 * 4 - 512  # the only task packs 64 columns of 256 rows
    with pytest.raises(InternalError, match=r"(?s)wrote outside its buffers.*scratch of thread"):
        check_guarded(program, {"B": 20}, arrays)


def test_params_come_back_after_an_error() -> None:
    made = MODELS["embedding_train"]()
    program, dims = kgraph.codegen.compile(made.graph), {"B": 3}
    arrays = made.arrays(dims)
    params = {value.name: arrays[value.name].copy() for value in made.graph.params}
    exe = GuardedExecutable(program, dims, params, "zones")  # type: ignore[arg-type]
    ids = next(value.name for value in made.graph.inputs if value.dtype == "i32")
    exe.input(ids)[...] = 1 << 20
    before = {name: array.copy() for name, array in params.items()}
    with pytest.raises(kgraph.errors.DataError):
        exe.run()
    for name, array in before.items():
        np.testing.assert_array_equal(array, params[name])


STRAY = """
import sys
from tests.codegen.cpu.test_guarded import guarded, pointers, two_layers
program, arrays = two_layers()
exe = guarded(program, arrays, "pages")
exe.run()
node = next(node for node in program.kernels if node.attrs["family"] == "gemm")
print(node.attrs["name"], flush=True)
pointers(exe, node.attrs["name"])[int(sys.argv[1])] += 4
exe.run()
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, cwd=ROOT, timeout=300)


@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
@pytest.mark.parametrize("operand", ["0", "-1"])
def test_a_page_guard_ends_the_process_and_faulthandler_names_the_kernel(operand: str) -> None:
    """Reads of an input and writes of a result alike."""
    result = python("-X", "faulthandler", "-c", STRAY, operand)
    assert result.returncode < 0, result.stderr
    assert f'File "<kernel {result.stdout.strip()}>"' in result.stderr


# ----------------------------------------------------------------------------------------------------------------------
# Nothing is read or written past a buffer


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    made = MODELS[name]()
    program = kgraph.codegen.compile(made.graph)
    for size in (1, 7, 33):
        dims = {symbol: size for symbol, size in {"B": size, "T": 5}.items() if symbol in made.graph.symbols}
        check_guarded(program, dims, made.arrays(dims))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("name", "dtype"), ALL)
def test_ops(name: str, dtype: str) -> None:
    made = build(name, dtype)
    program = kgraph.codegen.compile(made.graph)
    for size in (1, 7, 33):
        check_guarded(program, {"B": size}, made.arrays({"B": size}))


PAGES = """
import kgraph.codegen
from tests.codegen.guarding import check_guarded
from tests.numeric.cases import SHEETS, build
from tests.numeric.models import MODELS
made = [build(name, dtype) for name, (_, dtypes) in SHEETS.items() for dtype in dtypes]
for sheet in [*made, *(model() for model in MODELS.values())]:
    program = kgraph.codegen.compile(sheet.graph)
    for size in (1, 7, 32, 33):
        dims = {s: n for s, n in {"B": size, "T": 5}.items() if s in sheet.graph.symbols}
        check_guarded(program, dims, sheet.arrays(dims), "pages")
print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
def test_ops_and_models_between_pages() -> None:
    """Inputs, weights, results and scratch end where a page begins that may not be read."""
    result = python("-X", "faulthandler", "-c", PAGES)
    assert result.stdout == "done\n", result.stderr


@pytest.mark.parametrize(("name", "settings", "holds"), QUICK, ids=[name for name, _, _ in QUICK])
def test_examples(name: str, settings: dict[str, Any], holds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps than in the tests of the examples: it is the memory that is looked at."""
    monkeypatch.setenv("KGRAPH_GUARD", "1")
    kgraph.utils.set_random_seed(3)
    short = {"epochs": 1} | {key: min(value, 100) for key, value in settings.items() if key == "samples"}
    assert np.isfinite(load(name).main(**short)).all()


def test_the_setting_reaches_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in the native loop and between red zones ends with the same weights and the same results."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)).astype("float32"), rng.integers(0, 3, 50)
    found = []
    for guard in ("0", "1"):
        monkeypatch.setenv("KGRAPH_GUARD", guard)
        kgraph.utils.set_random_seed(1)
        layers = kgraph.layers
        model = kgraph.Sequential([kgraph.Input((6,)), layers.Dense(9, "relu"), layers.Dropout(0.2), layers.Dense(3)])
        loss = kgraph.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        found.append([history.history["loss"], *model.get_weights(), model.predict(x, batch_size=16, verbose=0)])
    for plain, between in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, between)


def test_profiles_work_between_zones() -> None:
    made = MODELS["mlp_train"]()
    program = kgraph.codegen.compile(made.graph, options=CompileOptions(guard="zones"))
    arrays = made.arrays({"B": 7})
    exe = program.bind({"B": 7}, {value.name: arrays[value.name] for value in made.graph.params})
    clock = exe.time_kernels()
    exe.run()
    assert clock is not None and all(time.calls == 1 for time in clock.kernels().values())
