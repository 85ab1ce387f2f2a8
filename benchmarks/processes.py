"""One contender in a process of its own: environment, start, time limit, the line that it prints.

Python's byte code: contenders write it under PYTHONPYCACHEPREFIX, in the scratch of the run, even where the shell has
set PYTHONDONTWRITEBYTECODE.  So the modules of this checkout are compiled once, as those of an installed package are
when it is installed.  Before a start is measured, the contender is started once without a clock.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import KERAS_BACKENDS

ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "KGRAPH_NUM_THREADS",
)


@dataclass(frozen=True)
class Options:
    """What holds for all processes of a run."""

    threads: int
    rounds: int
    quick: bool
    timeout: float  # seconds, per process
    pythons: dict[str, str]
    scratch: Path


def environment(contender: str, options: Options, cache: Path) -> dict[str, str]:
    """The environment of a contender: so many threads, caches of its own, the CPU alone."""
    env = dict(os.environ)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.update({name: str(options.threads) for name in THREAD_VARIABLES})
    env.update(
        KERAS_BACKEND=KERAS_BACKENDS.get(contender, "jax"),
        JAX_PLATFORMS="cpu",
        CUDA_VISIBLE_DEVICES="",
        TF_CPP_MIN_LOG_LEVEL="3",
        KGRAPH_CACHE=str(cache / "kgraph"),
        JAX_COMPILATION_CACHE_DIR=str(cache / "jax"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
        TORCHINDUCTOR_CACHE_DIR=str(cache / "inductor"),
        PYTHONPYCACHEPREFIX=str(options.scratch / "pycache"),
        PYTHONWARNINGS="ignore",
    )
    return env


def run_once(contender: str, kind: str, workload: str, options: Options, cache: Path) -> tuple[dict[str, Any], float]:
    """Start one process and return what it printed and how many seconds it took from start to that line."""
    python = options.pythons.get(contender, sys.executable)
    command = [python, "-m", "benchmarks.worker", contender, kind, workload]
    if options.quick:
        command.append("--quick")

    def pin() -> None:  # XLA takes its number of threads from the CPUs it may use
        if hasattr(os, "sched_setaffinity"):
            usable = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, usable[: options.threads])

    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(contender, options, cache),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=pin,
            start_new_session=True,
        )
        line, seconds = _first_result(process, begin, options.timeout)
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if line:
        return json.loads(line), seconds
    if seconds >= options.timeout:
        return {"failed": f"not done after {options.timeout:.0f} s"}, seconds
    return {"failed": said[-1] if said else f"exit status {process.returncode}"}, seconds


def _first_result(process: subprocess.Popen[str], begin: float, timeout: float) -> tuple[str, float]:
    """The line of JSON among what the process prints ("" if there is none), and when it came."""

    def stop() -> None:  # compilers that it started too
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(timeout, stop)
    timer.start()
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith('{"')), "")
        seconds = time.perf_counter() - begin
        process.stdout.read()
        process.wait()
    finally:
        timer.cancel()
    return line, seconds
