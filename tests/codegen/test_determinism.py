"""The same graph gives the same text, the same kernels and the same bits: in any process, on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import kgraph.codegen
from kgraph.codegen.cpu.cache import CacheWarning
from kgraph.codegen.cpu.pool import get_num_threads, set_num_threads
from tests.numeric.models import MODELS

ROOT = Path(__file__).parents[2]

DESCRIBE = """
import sys
import kgraph.codegen
from tests.numeric.models import MODELS
for name in ("mlp_train", "lstm_train", "conv_train", "batch_norm_train", "attention", "pieces"):
    program = kgraph.codegen.compile(MODELS[name]().graph)
    print(program.stages["optimized"], program.stages["schedule"], program.explain())
    for kernel, source in program.sources().items():
        print(kernel, source)
    print("compiled", program.compiled_kernels, file=sys.stderr)
print("numba", "numba" in sys.modules, "llvmlite", "llvmlite" in sys.modules, file=sys.stderr)
"""

RUN = """
import sys, warnings
import numpy as np
import kgraph.codegen
from kgraph.ir import parse
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    program = kgraph.codegen.compile(parse(sys.stdin.read()))
exe = program.bind({"B": 3}, {})
exe.input("x")[...] = np.arange(12).reshape(3, 4)
exe.run()
print("numba", "numba" in sys.modules)
print("compiled", program.compiled_kernels)
print("warnings", len([w for w in caught if "damaged" in str(w.message)]))
print("result", exe.output(0).tolist())
"""

SMALL = """kgraph 1
graph @small [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B, 4] = add(%x, 1.0)
  %1: f32[4] = sum(%0) {axes = [0]}
  return %1
}
"""
RESULT = "result [15.0, 18.0, 21.0, 24.0]"


def fresh(program: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        timeout=300,
        check=True,
    )


def test_fresh_processes_agree_and_the_second_compiles_nothing(tmp_path: Path) -> None:
    cache = os.environ["KGRAPH_CACHE"]
    one = fresh(DESCRIBE, PYTHONHASHSEED="1", KGRAPH_CACHE=cache)
    two = fresh(DESCRIBE, PYTHONHASHSEED="2", KGRAPH_CACHE=cache)
    assert len(one.stdout) > 10_000
    assert one.stdout == two.stdout
    assert set(two.stderr.split("numba")[0].split("\n")) == {"compiled 0", ""}
    assert "numba False" in two.stderr


def test_same_process_agrees() -> None:
    texts = []
    for _ in range(2):
        program = kgraph.codegen.compile(MODELS["lstm_train"]().graph)
        texts.append((str(program.stages["schedule"]), program.sources(), program.explain()))
    assert texts[0] == texts[1]


# -- threads ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def _threads_as_before() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.usefixtures("_threads_as_before")
@pytest.mark.parametrize(
    "name", ["mlp_train", "batch_norm_train", "conv_train", "attention", "embedding_train", "gru_train"]
)
def test_threads_do_not_change_a_bit(name: str) -> None:
    """With a batch that gives every large kernel several tasks."""
    made = MODELS[name]()
    dims = {symbol: size for symbol, size in {"B": 1500, "T": 6}.items() if symbol in made.graph.symbols}
    arrays = made.arrays(dims)
    program = kgraph.codegen.compile(made.graph)
    found = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        params = {value.name: arrays[value.name].copy() for value in made.graph.params}
        exe = program.bind(dims, params)
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        for _ in range(3):
            exe.run()
        found.append(
            [exe.output(k).tobytes() for k in range(len(made.graph.outputs))] + [p.tobytes() for p in params.values()]
        )
    assert found[0] == found[1] == found[2]


def test_running_twice_gives_the_same_bits() -> None:
    made = MODELS["softmax_cross_entropy"]()
    arrays = made.arrays({"B": 200})
    exe = kgraph.codegen.compile(made.graph).bind({"B": 200}, {})
    found = []
    for _ in range(2):
        for name, array in arrays.items():
            exe.input(name)[...] = array
        exe.run()
        found.append([exe.output(k).tobytes() for k in range(2)])
    assert found[0] == found[1]


# -- cache ------------------------------------------------------------------------------------------------------------
def test_warm_cache_needs_no_compiler(tmp_path: Path) -> None:
    first = fresh(RUN, SMALL, KGRAPH_CACHE=str(tmp_path))
    assert RESULT in first.stdout and "compiled 0" not in first.stdout
    second = fresh(RUN, SMALL, KGRAPH_CACHE=str(tmp_path))
    assert RESULT in second.stdout
    assert "numba False" in second.stdout and "compiled 0" in second.stdout


def test_damaged_objects_are_built_again(tmp_path: Path) -> None:
    fresh(RUN, SMALL, KGRAPH_CACHE=str(tmp_path))
    files = sorted(tmp_path.rglob("*.o"))
    for file in files:
        file.write_bytes(file.read_bytes()[:-7] + b"garbage")
    again = fresh(RUN, SMALL, KGRAPH_CACHE=str(tmp_path))
    assert RESULT in again.stdout
    assert f"warnings {len(files)}" in again.stdout
    repaired = fresh(RUN, SMALL, KGRAPH_CACHE=str(tmp_path))
    assert RESULT in repaired.stdout
    assert "compiled 0" in repaired.stdout and "warnings 0" in repaired.stdout


def test_cache_off_keeps_nothing(tmp_path: Path) -> None:
    result = fresh(RUN, SMALL, KGRAPH_CACHE="off", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert RESULT in result.stdout
    assert not list(tmp_path.rglob("*.o"))


def test_a_cache_that_cannot_be_written_costs_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file" / "cache"
    blocked.parent.write_text("not a directory")
    monkeypatch.setenv("KGRAPH_CACHE", str(blocked))
    graph = kgraph.ir.parse(SMALL.replace("1.0", repr(float(os.getpid()))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program = kgraph.codegen.compile(graph)
    assert len([w for w in caught if issubclass(w.category, CacheWarning)]) == 1
    exe = program.bind({"B": 1}, {})
    exe.input("x")[...] = np.ones(4)
    exe.run()
    np.testing.assert_array_equal(exe.output(0), np.full(4, 1.0 + os.getpid(), np.float32))
