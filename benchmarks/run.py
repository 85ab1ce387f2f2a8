"""Runs the contenders in turn, each in a process of its own, and prints a table with ratios.

    python -m benchmarks                                    all workloads, all contenders, three rounds
    python -m benchmarks mlp conv --rounds 5 --threads 2
    python -m benchmarks --quick                            a few steps of everything: does it run?
    python -m benchmarks --python-for torch=~/torch/bin/python --python-for onnxruntime=~/torch/bin/python

A round runs A B C, the next one A B C again, so that a machine that gets slower or faster meets all of them alike.  The
table shows the median and the least over the rounds, and the ratio of kgraph's median to that of the best peer.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

TRAIN = ("kgraph", "keras-jax", "jax-scan", "torch")
CONTENDERS = {
    "binary_mlp": TRAIN,
    "mlp": TRAIN,
    "lstm_multi": TRAIN,
    "conv": TRAIN,
    "predict_one": (*TRAIN, "onnxruntime"),
    "startup": TRAIN,
    "import": (*TRAIN, "onnxruntime"),
}
TITLES = {
    "binary_mlp": "100-32-1, batch 32, rmsprop, metrics: time per step of fit",
    "mlp": "784-64-64-10, batch 128, rmsprop, metrics: time per step of fit",
    "lstm_multi": "embedding + LSTM, two inputs, two outputs, batch 32, rmsprop: time per step of fit",
    "conv": "conv 32, conv 64, pool, dense 128, 10 on 28x28x1, batch 128, adam: time per step of fit",
    "predict_one": "100-32-1, one row: time per predict_on_batch",
    "startup": "start of the process to first training step done",
    "import": "start of the process to import done",
}
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "KGRAPH_NUM_THREADS",
)


@dataclass
class Series:
    """What one contender did on one workload.  Times in microseconds."""

    times: list[float] = field(default_factory=list)
    loss_first: float | None = None
    loss_last: float | None = None
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What holds for all processes of a run."""

    threads: int
    rounds: int
    quick: bool
    timeout: float  # seconds, per process
    pythons: dict[str, str]


def environment(options: Options, cache: Path) -> dict[str, str]:
    """The environment of a contender: so many threads, caches of its own, Keras on JAX on the CPU."""
    env = dict(os.environ)
    env.update({name: str(options.threads) for name in THREAD_VARIABLES})
    env.update(
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cpu",
        KGRAPH_CACHE=str(cache / "kgraph"),
        JAX_COMPILATION_CACHE_DIR=str(cache / "jax"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
        PYTHONWARNINGS="ignore",
    )
    return env


def run_once(contender: str, what: str, options: Options, cache: Path) -> tuple[dict[str, Any], float]:
    """Start one process and return what it printed and how many seconds it took from start to that line."""
    command = [options.pythons.get(contender, sys.executable), "-m", "benchmarks.worker", contender, what]
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
            env=environment(options, cache),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=pin,
        )
        try:
            out, _ = process.communicate(timeout=options.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"failed": f"not done after {options.timeout:.0f} s"}, 0.0
        seconds = time.perf_counter() - begin
        errors.seek(0)
        said = errors.read().strip()
    lines = out.strip().splitlines()
    if process.returncode or not lines:
        return {"failed": said.splitlines()[-1] if said else f"exit status {process.returncode}"}, seconds
    return json.loads(lines[-1]), seconds


def measure(name: str, contenders: list[str], options: Options) -> dict[str, Series]:
    """All rounds of one workload."""
    table: dict[str, Series] = {}
    with tempfile.TemporaryDirectory(prefix="kgraph-bench-") as scratch:
        for number in range(options.rounds):
            for contender in contenders:
                if name == "startup":
                    cache = Path(scratch) / f"{contender}-{number}"
                    for state in ("cold", "warm"):
                        label = f"{contender} ({state} cache)"
                        enter(table.setdefault(label, Series()), *run_once(contender, "start", options, cache))
                else:
                    # one cache for all rounds: compile time is a workload of its own
                    cache = Path(scratch) / contender
                    result, seconds = run_once(contender, name, options, cache)
                    enter(table.setdefault(contender, Series()), result, seconds)
    return table


def enter(series: Series, result: dict[str, Any], seconds: float) -> None:
    note = result.get("missing") or result.get("failed")
    if note:
        series.note = str(note)
        return
    series.times.append(result.get("us", seconds * 1e6))
    series.loss_first, series.loss_last = result.get("loss_first"), result.get("loss_last")
    series.versions = result["versions"]


def format_time(us: float) -> str:
    for limit, unit, scale in ((1e3, "us", 1.0), (1e6, "ms", 1e3)):
        if us < limit * 0.9995:
            return f"{us / scale:.3g} {unit}" if us / scale < 99.95 else f"{us / scale:.0f} {unit}"
    return f"{us / 1e6:.2f} s"


def format_table(name: str, table: dict[str, Series]) -> str:
    """One line per contender; the ratio is to the best of the others in the same state."""

    def state(label: str) -> str:
        return label.partition(" ")[2]

    medians = {label: statistics.median(series.times) for label, series in table.items() if series.times}
    lines = [f"{name}: {TITLES[name]}"]
    lines.append(f"  {'':<24}{'median':>10}{'least':>10}{'ratio':>8}   loss first epoch -> last")
    for label, series in table.items():
        if not series.times:
            lines.append(f"  {label:<24}{'-':>10}  {series.note}")
            continue
        peers = [
            median
            for other, median in medians.items()
            if state(other) == state(label) and not other.startswith("kgraph") and other != label
        ]
        ratio = f"{medians[label] / min(peers):.2f}" if peers else "-"
        loss = "" if series.loss_first is None else f"   {series.loss_first:.4f} -> {series.loss_last:.4f}"
        note = f"   ({series.note})" if series.note else ""
        times = f"{format_time(medians[label]):>10}{format_time(min(series.times)):>10}"
        lines.append(f"  {label:<24}{times}{ratio:>8}{loss}{note}")
    return "\n".join(lines) + "\n"


def machine(options: Options) -> dict[str, str]:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model,
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads": str(options.threads),
        "system": platform.platform(),
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "(not set)"),
        "rounds": str(options.rounds) + (" (quick: the times mean nothing)" if options.quick else ""),
    }


def parse(arguments: list[str] | None) -> tuple[list[str], list[str], Options]:
    parser = argparse.ArgumentParser("python -m benchmarks", description="kgraph beside its peers")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(CONTENDERS)}; default: all")
    parser.add_argument("--contenders", help="comma-separated; default: all that apply")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender (2)")
    parser.add_argument("--rounds", type=int, help="how often each contender runs (3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one process (300)")
    parser.add_argument(
        "--python-for",
        action="append",
        default=[],
        metavar="CONTENDER=PYTHON",
        help="interpreter of one contender, when it is installed in another environment",
    )
    given = parser.parse_args(arguments)
    everyone = list(dict.fromkeys(name for names in CONTENDERS.values() for name in names))
    contenders = given.contenders.split(",") if given.contenders else everyone
    pythons = dict(entry.partition("=")[::2] for entry in given.python_for)
    for name in given.workloads:
        if name not in CONTENDERS:
            parser.error(f"unknown workload {name!r}; there are {', '.join(CONTENDERS)}")
    for name in [*contenders, *pythons]:
        if name not in everyone:
            parser.error(f"unknown contender {name!r}; there are {', '.join(everyone)}")
    for name, python in pythons.items():
        pythons[name] = os.path.abspath(os.path.expanduser(python))
    rounds = given.rounds or (1 if given.quick else 3)
    options = Options(given.threads, rounds, given.quick, given.timeout, pythons)
    return given.workloads or list(CONTENDERS), contenders, options


def main(arguments: list[str] | None = None) -> int:
    workloads, chosen, options = parse(arguments)
    where = machine(options)
    for name, value in where.items():
        print(f"{name:<18} {value}")
    print(flush=True)
    tables: dict[str, dict[str, Series]] = {}
    versions: dict[str, dict[str, str]] = {}
    for name in workloads:
        tables[name] = measure(name, [c for c in CONTENDERS[name] if c in chosen], options)
        print(format_table(name, tables[name]), flush=True)
        for label, series in tables[name].items():
            if series.versions:
                versions.setdefault(label.partition(" ")[0], {}).update(series.versions)
    for contender, found in versions.items():
        print(f"{contender:<18} " + ", ".join(f"{name} {version}" for name, version in found.items()))
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}.json"
    results = {name: {label: vars(series) for label, series in table.items()} for name, table in tables.items()}
    path.write_text(json.dumps({"machine": where, "versions": versions, "results": results}, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
