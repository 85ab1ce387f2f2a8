"""Objects made in other threads and processes: the same bytes as here, the same errors, and no process left over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kgraph.codegen.cpu import building, compilers
from kgraph.codegen.cpu.cache import Emit
from kgraph.codegen.cpu.compilers import Compilers
from kgraph.codegen.cpu.objects import NativeCodeError, emit_object

TEXT = "define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {number}\n  ret i64 %y\n}}\n"


def text(number: int) -> str:
    return TEXT.format(name=f"compilers_{number}", number=number)


def make(number: int, by_hand: bool = False) -> Callable[[Emit], bytes]:
    return lambda emit: emit(text(number), by_hand=by_hand)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that a test starts."""
    found: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return found


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_same_objects_as_here(processes: int, started: list[subprocess.Popen[bytes]]) -> None:
    made = Compilers(processes)
    futures = [made.submit(make(number, number % 2 == 0)) for number in range(9)]
    assert [future.result() for future in futures] == [
        make(number, number % 2 == 0)(emit_object) for number in range(9)
    ]
    made.close()
    assert 0 < len(started) <= processes if processes else not started
    assert all(process.returncode == 0 for process in started)  # ended, and waited for


def test_a_text_larger_than_a_pipe() -> None:
    many = "".join(text(number) for number in range(4000))
    assert len(many) > 1 << 17
    made = Compilers(1)
    assert made.submit(lambda emit: emit(many, by_hand=True)).result() == emit_object(many, by_hand=True)
    made.close()


def test_what_llvm_refuses_is_an_error_here() -> None:
    made = Compilers(1)
    with pytest.raises(NativeCodeError, match="LLVM refused the module"):
        made.submit(lambda emit: emit("define nothing")).result()
    assert made.submit(make(1)).result() == make(1)(emit_object)  # the process goes on
    made.close()


def test_a_process_that_dies_costs_time_only(started: list[subprocess.Popen[bytes]]) -> None:
    made = Compilers(1)
    made.submit(make(1)).result()
    started[0].kill()
    assert made.submit(make(2)).result() == make(2)(emit_object)
    assert made.submit(make(3)).result() == make(3)(emit_object)
    made.close()
    assert len(started) == 1 and started[0].returncode is not None


def forbidden(*_: Any, **__: Any) -> None:
    raise PermissionError("no processes here")


@pytest.mark.parametrize("executable", [None, "", sys.executable])
def test_without_processes(executable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbidden ones, an unknown interpreter, a program with Python inside."""
    monkeypatch.setattr(sys, "executable", executable)
    if executable:
        monkeypatch.setattr(compilers.subprocess, "Popen", forbidden)
    made = Compilers(2)
    assert made.submit(make(1)).result() == make(1)(emit_object)
    made.close()


def test_few_objects_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGRAPH_NUM_THREADS", "4")
    assert building.compiler_processes(1) == 0
    assert building.compiler_processes(50) == 3
    monkeypatch.setenv("KGRAPH_NUM_THREADS", "1")
    assert building.compiler_processes(50) == 0


# A script as users write it: no `if __name__ == "__main__"`, so that nothing may run it a second time.
SCRIPT = """
import os
import numpy as np
import kgraph as keras
print("once")
model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(1)])
model.compile("sgd", "mse")
keras.utils.set_random_seed(1)
print(model.train_on_batch(np.ones((4, 7), "float32"), np.ones((4, 1), "float32")) >= 0)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no children")
"""


@pytest.mark.skipif(not hasattr(os, "waitpid"), reason="asks for children in the way of POSIX")
@pytest.mark.parametrize("cache", ["fresh", "off", "forbidden"])
def test_cold_start_of_a_script(cache: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "file").write_text("")
    place = {"fresh": str(tmp_path / "cache"), "off": "off", "forbidden": str(tmp_path / "file" / "cache")}[cache]
    environment = {**os.environ, "KGRAPH_CACHE": place, "KGRAPH_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True, timeout=100
    )
    assert done.stdout.split("\n")[:3] == ["once", "True", "no children"]
    assert ("CacheWarning" in done.stderr) == (cache == "forbidden")
