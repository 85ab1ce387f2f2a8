"""Runs the contenders in turn, each in a process of its own, and prints tables with ratios and a summary.

    python -m benchmarks                              everything: training, prediction, start-up
    python -m benchmarks mlp conv --rounds 3          these workloads, whatever is measured on them
    python -m benchmarks --only train                 train, predict (test sets and single rows) or start
    python -m benchmarks --quick                      a few steps of everything: does it run, do the losses agree?
    python -m benchmarks --python-for torch=~/torch/bin/python --python-for keras-tf=~/tf/bin/python

A round runs A B C, the next one A B C again, so that a machine that gets slower or faster meets all of them alike; each
process times several calls.  A table shows the median and the least of all of them, `speed` (how many times as fast a
contender is as the best of the others), the peak of its resident memory, and its losses.

All contenders of a workload train from the same weights on the same data, the first epoch in the order of the data, so
its loss is the same but for rounding (and for dropout): one that is 1e-3 away is marked.  Optimizers have the formulas
and defaults of Keras everywhere.  All get the same number of threads and are pinned to as many CPUs; for one row of the
small models, peers get one thread, which suits them best.  Compiled kernels are cached within a run, per contender;
`start` has a cache of its own for each round, empty at first.

Byte code: every contender runs as an installed package does, from compiled modules; see `benchmarks.processes`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
from pathlib import Path

from benchmarks.jobs import CONTENDERS, KINDS, PARTS, Job, jobs
from benchmarks.processes import ROOT, Options, run_once
from benchmarks.report import Series, Table, contender_of, format_summary, format_table

RESULTS = ROOT / "benchmarks" / "results"


def measure(job: Job, contenders: list[str], options: Options) -> Table:
    """All rounds of one job."""
    table: Table = {}
    if job.kind in ("start", "import"):
        for contender in contenders:  # compiles the byte code of what it imports
            run_once(contender, job.kind, job.workload, options, options.scratch / "unused" / contender)
    for number in range(options.rounds):
        for contender in contenders:
            if job.kind == "start":
                cache = options.scratch / f"start-{job.workload}-{contender}-{number}"
                for state in ("cold", "warm"):
                    series = table.setdefault(f"{contender} ({state})", Series())
                    series.enter(*run_once(contender, job.kind, job.workload, options, cache))
            else:
                # one cache for everything: compile time is a job of its own
                cache = options.scratch / "cache" / contender
                series = table.setdefault(contender, Series())
                series.enter(*run_once(contender, job.kind, job.workload, options, cache))
    return table


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


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="kgraph beside its peers")
    names = dict.fromkeys(job.workload or job.kind for job in jobs())
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--only", choices=list(PARTS), help="one part of the run")
    parser.add_argument("--contenders", help=f"comma-separated, of {', '.join(CONTENDERS)}; default: all that apply")
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender (2)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each contender runs (1)")
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one process (300)")
    parser.add_argument(
        "--json", type=Path, help="where to write the results (benchmarks/results/; nowhere with --quick)"
    )
    parser.add_argument(
        "--python-for",
        action="append",
        default=[],
        metavar="CONTENDER=PYTHON",
        help="interpreter of one contender, when it is installed in another environment",
    )
    return parser


def chosen_jobs(given: argparse.Namespace) -> list[Job]:
    kinds = PARTS[given.only] if given.only else KINDS
    return [
        job
        for job in jobs()
        if job.kind in kinds and (not given.workloads or (job.workload or job.kind) in given.workloads)
    ]


def chosen_contenders(given: argparse.Namespace, complain: argparse.ArgumentParser) -> tuple[list[str], dict[str, str]]:
    contenders = given.contenders.split(",") if given.contenders else list(CONTENDERS)
    pythons = dict(entry.partition("=")[::2] for entry in given.python_for)
    names = {job.workload or job.kind for job in jobs()}
    for kind, known, asked in (
        ("workload", names, given.workloads),
        ("contender", CONTENDERS, [*contenders, *pythons]),
    ):
        for name in asked:
            if name not in known:
                complain.error(f"unknown {kind} {name!r}; there are {', '.join(sorted(known))}")
    return contenders, {name: os.path.abspath(os.path.expanduser(python)) for name, python in pythons.items()}


def write(path: Path, where: dict[str, str], tables: dict[Job, Table]) -> None:
    versions: dict[str, dict[str, str]] = {}
    for table in tables.values():
        for label, series in table.items():
            versions.setdefault(contender_of(label), {}).update(series.versions)
    for contender, found in versions.items():
        if found:
            print(f"{contender:<18} " + ", ".join(f"{name} {version}" for name, version in found.items()))
    results = {job.name: {label: vars(series) for label, series in table.items()} for job, table in tables.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": where, "versions": versions, "results": results}, indent=1) + "\n")
    print(f"\nwritten to {path}")


def main(arguments: list[str] | None = None) -> int:
    command = parser()
    given = command.parse_args(arguments)
    contenders, pythons = chosen_contenders(given, command)
    with tempfile.TemporaryDirectory(prefix="kgraph-bench-") as scratch:
        options = Options(given.threads, given.rounds, given.quick, given.timeout, pythons, Path(scratch))
        where = machine(options)
        for name, value in where.items():
            print(f"{name:<18} {value}")
        print(flush=True)
        tables: dict[Job, Table] = {}
        for job in chosen_jobs(given):
            tables[job] = measure(job, [name for name in KINDS[job.kind] if name in contenders], options)
            print(format_table(job, tables[job]), flush=True)
    print(format_summary(tables))
    stamp = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}.json"
    path = given.json or (None if given.quick else RESULTS / stamp)
    if path:
        write(path, where, tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
