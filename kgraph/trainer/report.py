"""`Report`: what each kernel of a step costs and how long it takes, as rows, as a table, as JSON.

Holds numbers only; `kgraph.trainer.profiling` makes them.  Times are nanoseconds a step, arithmetic and bytes are those
of a step too (see `kgraph.codegen.costs` for what counts).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kgraph.codegen.launches import Ceilings, amount
from kgraph.errors import InvalidArgumentError

__all__ = ["GROUPS", "Report", "ReportRow"]

GROUPS = ("kernel", "layer", "part", "family")


@dataclass(frozen=True)
class ReportRow:
    """One kernel, or several together.

    Attributes:
        name: of the kernel, or of the layer, part or family.
        layer: of the model.
        part: `"forward"`, `"backward"` or `"update"`.
        family: of the schedule.
        variant: how it does its work, e.g. `gemm 28x64`: the block of a task.
        kernels: how many are taken together.
        tasks: pieces that threads share.
        threads: threads that may work on it at once.
        calls: in one step; more than one in a loop.
        flops: arithmetic on floating-point elements.
        special: exponentials, logarithms and their kin, and random numbers.
        read: bytes.
        written: bytes.
        ns: nanoseconds a step; None when it was not measured.
        least_ns: what the machine needs for this arithmetic and these bytes at best.
        share: of the step.
    """

    name: str
    layer: str
    part: str
    family: str
    variant: str
    kernels: int
    tasks: int
    threads: int
    calls: int
    flops: int
    special: int
    read: int
    written: int
    ns: float | None = None
    least_ns: float | None = None
    share: float | None = None

    @property
    def intensity(self) -> float:
        """Floating-point operations for each byte."""
        return self.flops / max(1, self.read + self.written)

    @property
    def gflops(self) -> float | None:
        """10^9 floating-point operations a second."""
        return self.flops / self.ns if self.ns else None

    @property
    def gbytes(self) -> float | None:
        """10^9 bytes a second."""
        return (self.read + self.written) / self.ns if self.ns else None

    @property
    def roofline(self) -> float | None:
        """Share of what the machine does at best: 1 is its roofline."""
        return self.least_ns / self.ns if self.ns and self.least_ns is not None else None

    def as_dict(self) -> dict[str, Any]:
        """All numbers, the derived ones too, by name."""
        derived = {name: getattr(self, name) for name in ("intensity", "gflops", "gbytes", "roofline")}
        return {**dataclasses.asdict(self), **derived}


@dataclass(frozen=True)
class Report:
    """What the kernels of a step cost, and how long they take.

    Attributes:
        model: its name.
        mode: `"train"`, `"test"` or `"predict"`.
        batch_size: rows of a step.
        kernels: a row each, in the order they run.
        by: what `rows` and the table show: `"kernel"`, `"layer"`, `"part"` or `"family"`.
        steps: measured; 0 when there are no times.
        step_ns: nanoseconds of a step, from one to the next.
        copies_ns: those of copies between kernels.
        ceilings: what the machine does at best.
    """

    model: str
    mode: str
    batch_size: int
    kernels: tuple[ReportRow, ...]
    by: str = "kernel"
    steps: int = 0
    step_ns: float | None = None
    copies_ns: float | None = None
    ceilings: Ceilings | None = None

    def grouped(self, by: str) -> Report:
        """The same numbers, taken together otherwise.

        Raises:
            InvalidArgumentError: there is no such group.
        """
        if by not in GROUPS:
            raise InvalidArgumentError(f"a report by {by!r}", needed="one of " + ", ".join(GROUPS))
        return dataclasses.replace(self, by=by)

    @property
    def rows(self) -> list[ReportRow]:
        """Rows by falling time, or, without times, by falling work."""
        rows = list(self.kernels)
        if self.by != "kernel":
            groups: dict[str, list[ReportRow]] = {}
            for row in self.kernels:
                groups.setdefault(getattr(row, self.by) or "(no layer)", []).append(row)
            rows = [_together(name, members) for name, members in groups.items()]
        if self.steps:
            return sorted(rows, key=lambda row: -(row.ns or 0))
        return sorted(rows, key=lambda row: -max(row.flops, row.read + row.written))

    @property
    def total(self) -> ReportRow:
        """All kernels together."""
        return _together("all kernels", self.kernels)

    @property
    def outside_ns(self) -> float | None:
        """Nanoseconds of a step outside kernels: gathering rows, copies between kernels, the driver."""
        return None if self.step_ns is None else self.step_ns - (self.total.ns or 0)

    def to_json(self, indent: int | None = None) -> str:
        """All rows and numbers as JSON."""
        content = {
            **{name: getattr(self, name) for name in ("model", "mode", "batch_size", "by", "steps")},
            **{name: getattr(self, name) for name in ("step_ns", "outside_ns", "copies_ns")},
            "rows": [row.as_dict() for row in self.rows],
            "total": self.total.as_dict(),
            "ceilings": None if self.ceilings is None else dataclasses.asdict(self.ceilings),
        }
        return json.dumps(content, indent=indent)

    def __str__(self) -> str:
        """A plain table."""
        cells = [[column.title for column in self._columns()], *self._cells()]
        widths = [max(map(len, column)) for column in zip(*cells)]
        left = [column.left for column in self._columns()]
        lines = [
            "  ".join(text.ljust(w) if flush else text.rjust(w) for text, w, flush in zip(row, widths, left)).rstrip()
            for row in cells
        ]
        return "\n".join([self._title(), *lines, *self._notes()])

    __repr__ = __str__  # what a console shows of `trainer.report()`

    def __rich__(self) -> Any:
        """What rich prints."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(header_style="bold", box=None, pad_edge=False)
        for column in self._columns():
            table.add_column(column.title, justify="left" if column.left else "right", style=column.style)
        *rows, total = self._cells()
        for row in rows:
            table.add_row(*map(Text, row))
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
        return Group(Text(self._title(), style="bold"), table, *map(Text, self._notes()))

    def print(self) -> None:
        """Print the table; in colours, if standard output is a terminal and rich is installed."""
        if sys.stdout.isatty():
            try:
                from rich.console import Console
            except ImportError:
                pass
            else:
                Console().print(self)
                return
        print(self)

    # -- text ---------------------------------------------------------------------------------------------------------
    def _title(self) -> str:
        title = f"a {self.mode} step of model {self.model!r}, batch size {self.batch_size}: "
        if self.step_ns is None:
            return title + "what its kernels cost"
        return title + f"{_time(self.step_ns)} us, the mean of {self.steps} steps"

    def _columns(self) -> list[_Column]:
        columns = [_NAME if self.by == "kernel" else dataclasses.replace(_NAME, title=self.by)]
        columns += _OF_KERNELS if self.by == "kernel" else _OF_GROUPS
        return columns + _COSTS + (_TIMES if self.steps else [])

    def _cells(self) -> list[list[str]]:
        return [[column.text(row) for column in self._columns()] for row in (*self.rows, self.total)]

    def _notes(self) -> list[str]:
        if self.step_ns is None or self.outside_ns is None:
            call = "x" if self.mode == "predict" else "x, y"
            return [f"no times yet: trainer.profile({call}, mode={self.mode!r}) measures them"]
        share = self.outside_ns / self.step_ns
        copies = f"copies between kernels ({_time(self.copies_ns or 0)} us), " if self.copies_ns else ""
        outside = f"outside kernels: {_time(self.outside_ns)} us ({share:.1%}): gathering rows, {copies}the driver"
        return [outside, *([] if self.ceilings is None else str(self.ceilings).splitlines())]


def _together(name: str, rows: Sequence[ReportRow]) -> ReportRow:
    def common(attribute: str) -> str:
        values = {getattr(row, attribute) for row in rows}
        return values.pop() if len(values) == 1 else ""

    def total(attribute: str) -> Any:
        values = [getattr(row, attribute) for row in rows]
        return None if None in values else sum(values)

    fields: dict[str, Any] = {}
    for field in ("layer", "part", "family", "variant"):
        fields[field] = common(field)
    for field in ("tasks", "threads"):
        fields[field] = max((getattr(row, field) for row in rows), default=0)
    for field in ("kernels", "calls", "flops", "special", "read", "written", "ns", "least_ns", "share"):
        fields[field] = total(field)
    return ReportRow(name, **fields)


@dataclass(frozen=True)
class _Column:
    title: str
    text: Callable[[ReportRow], str]
    left: bool = False
    style: str = ""


def _time(ns: float) -> str:
    """Microseconds."""
    us = ns / 1e3
    return f"{us:.2f}" if us < 10 else f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def _optional(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _how(row: ReportRow) -> str:
    return row.variant or row.family


_NAME = _Column("kernel", lambda row: row.name, left=True)
_OF_KERNELS = [
    _Column("part", lambda row: row.part, left=True, style="bright_black"),
    _Column("how", _how, left=True, style="cyan"),
    _Column("tasks", lambda row: str(row.tasks) if row.kernels == 1 else ""),
    _Column("calls", lambda row: str(row.calls)),
]
_OF_GROUPS = [_Column("kernels", lambda row: str(row.kernels)), _Column("calls", lambda row: str(row.calls))]
_COSTS = [
    _Column("flops", lambda row: amount(row.flops)),
    _Column("special", lambda row: amount(row.special)),
    _Column("read", lambda row: amount(row.read)),
    _Column("written", lambda row: amount(row.written)),
    _Column("flop/byte", lambda row: f"{row.intensity:.2f}"),
]
_TIMES = [
    _Column("us", lambda row: "-" if row.ns is None else _time(row.ns), style="green"),
    _Column("step", lambda row: _optional(row.share, ".1%"), style="green"),
    _Column("GFLOP/s", lambda row: _optional(row.gflops, ".2f")),
    _Column("GB/s", lambda row: _optional(row.gbytes, ".2f")),
    _Column("roofline", lambda row: _optional(row.roofline, ".0%"), style="yellow"),
]
