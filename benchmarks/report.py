"""Tables: one per job, and a summary."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.jobs import ASKED, LIMITS, Job

TOLERANCE = 1e-3  # of losses and outputs, relative
REFERENCES = ("keras-jax", "keras-tf", "keras-torch", "jax-scan", "jax", "torch", "onnxruntime")


@dataclass
class Series:
    """What one contender did in one job.  Times in microseconds, memory in MiB."""

    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    loss_first: float | None = None
    loss_last: float | None = None
    check: float | None = None  # of the outputs of a prediction
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def enter(self, result: dict[str, Any], seconds: float) -> None:
        """What one process printed, and how long it took to print it."""
        note = result.get("missing") or result.get("failed")
        if note:
            self.note = str(note)
            return
        self.times += result.get("us", [seconds * 1e6])
        self.memory.append(result["memory"])
        self.loss_first, self.loss_last = result.get("loss_first"), result.get("loss_last")
        self.check = result.get("check")
        self.versions = result["versions"]


Table = dict[str, Series]  # by label: a contender, or "contender (state of the caches)"


def contender_of(label: str) -> str:
    return label.partition(" ")[0]


def state_of(label: str) -> str:
    """State of the caches: "cold", "warm", or "" where it does not matter."""
    return label.partition(" ")[2].strip("()")


def format_time(us: float) -> str:
    for limit, unit, scale in ((1e3, "us", 1.0), (1e6, "ms", 1e3)):
        if us < limit * 0.9995:
            return f"{us / scale:.3g} {unit}" if us / scale < 99.95 else f"{us / scale:.0f} {unit}"
    return f"{us / 1e6:.2f} s"


def best_of_others(label: str, table: Table) -> str | None:
    """The quickest of all other contenders but kgraph, with caches in the same state."""
    others = [
        other
        for other, series in table.items()
        if series.times
        and state_of(other) == state_of(label)
        and contender_of(other) not in ("kgraph", contender_of(label))
    ]
    return min(others, key=lambda other: table[other].median, default=None)


def differing(job: Job, table: Table) -> dict[str, float]:
    """Relative difference, where it is too large, of what a contender computed from what the reference did."""
    if job.kind == "train" and getattr(job.module(), "DROPOUT", False):
        return {}
    values = {label: s.loss_first if job.kind == "train" else s.check for label, s in table.items()}
    reference = next((values[name] for name in REFERENCES if values.get(name) is not None), None)
    if reference is None:
        return {}
    apart = {label: abs(v - reference) / abs(reference) for label, v in values.items() if v is not None}
    return {label: value for label, value in apart.items() if not value <= TOLERANCE}


def format_table(job: Job, table: Table) -> str:
    """One line per contender; `speed` says how many times as fast it is as the best of the others."""
    apart = differing(job, table)
    values = {"train": "loss of first epoch -> last", "predict": "output", "row": "output"}.get(job.kind, "")
    lines = [f"{job.name}: {job.title}"]
    lines.append(f"  {'':<18}{'median':>10}{'least':>10}{'speed':>8}{'peak MiB':>10}   {values}".rstrip())
    for label, series in table.items():
        if not series.times:
            lines.append(f"  {label:<18}{'-':>10}  {series.note}")
            continue
        best = best_of_others(label, table)
        speed = f"{table[best].median / series.median:.2f}x" if best else "-"
        value = ""
        if series.loss_first is not None:
            value = f"   {series.loss_first:.5f} -> {series.loss_last:.5f}"
        elif series.check is not None:
            value = f"   {series.check:.6f}"
        value += f"  ! {apart[label]:.1e} from the reference" if label in apart else ""
        value += f"   ({series.note})" if series.note else ""
        times = f"{format_time(series.median):>10}{format_time(min(series.times)):>10}"
        lines.append(f"  {label:<18}{times}{speed:>8}{max(series.memory):>10.0f}{value}")
    return "\n".join(lines) + "\n"


def format_summary(tables: dict[Job, Table]) -> str:
    """One line per job (and state of the caches): kgraph, the best peer, what is asked, peak memory."""
    width = max([len(job.name) for job in tables], default=0) + 8
    head = (
        f"{'':<{width}}{'kgraph':>10}  {'best peer':<25}{'speed':>7}{'asked':>9}{'':>8}{'MiB':>6}  least of the peers"
    )
    lines = ["Summary", head]
    for job, table in tables.items():
        for label, series in table.items():
            if contender_of(label) == "kgraph":
                lines.append(
                    f"{f'{job.name} {state_of(label)}'.rstrip():<{width}}" + _summary(job, label, series, table)
                )
    return "\n".join(lines) + "\n"


def _summary(job: Job, label: str, series: Series, table: Table) -> str:
    asked, limit = ASKED.get((job.kind, job.workload)), LIMITS.get((job.kind, job.workload, state_of(label)))
    wanted = f">= {asked:g}x" if asked else f"{limit:g} s" if limit else "-"
    if not series.times:
        return f"{'-':>10}  {series.note}"
    best = best_of_others(label, table)
    if best is None:
        return f"{format_time(series.median):>10}  {'-':<25}{'-':>7}{wanted:>9}"
    speed = table[best].median / series.median
    met = speed >= asked if asked else series.median <= limit * 1e6 if limit else None
    verdict = "" if met is None else "met" if met else "missed"
    least = min((max(s.memory), contender_of(o)) for o, s in table.items() if s.times and contender_of(o) != "kgraph")
    peer = f"{format_time(table[best].median)} {contender_of(best)}"
    text = f"{format_time(series.median):>10}  {peer:<25}{f'{speed:.2f}x':>7}{wanted:>9}{verdict:>8}"
    return f"{text}{max(series.memory):>6.0f}  {least[0]:.0f} {least[1]}"
