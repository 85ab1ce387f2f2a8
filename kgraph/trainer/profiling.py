"""Measuring the kernels of a step: `trainer.profile`, and `trainer.report` with what they cost.

A profile runs real steps of the fused program, and puts back what they changed: weights, optimizer, metrics and seeds
are afterwards what they were before.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.codegen import Executable
from kgraph.codegen.launches import Ceilings, KernelTime, Launch
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.ir.graph import Node
from kgraph.trainer.data import check_batch_size
from kgraph.trainer.feed import Feed, is_stream
from kgraph.trainer.loop_arguments import whole_number
from kgraph.trainer.own import optimizers_of
from kgraph.trainer.parts import layer_of, parts_of
from kgraph.trainer.report import Report, ReportRow
from kgraph.trainer.steps import Step

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["cost_report", "inner_mode", "profile"]

Array = np.ndarray[Any, np.dtype[Any]]

_MODES = {"train": "train", "test": "eval", "predict": "predict"}
_SECONDS = 0.5  # of steps, where their number is not given
_LEAST_STEPS = 5
_WARM_STEPS = 2  # that fetch code and pages before the clock runs


def inner_mode(mode: Any) -> str:
    """The trainer's name of a mode; `"eval"` is taken for `"test"`.

    Raises:
        InvalidArgumentError: there is no such mode.
    """
    if mode == "eval":
        return "eval"
    if not isinstance(mode, str) or mode not in _MODES:
        raise InvalidArgumentError(f"mode {mode!r} has no step", needed="one of " + ", ".join(_MODES))
    return _MODES[mode]


def profile(
    trainer: Trainer,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    mode: str = "train",
    sample_weight: Any = None,
    by: str = "kernel",
) -> Report:
    """See `Inspection.profile`."""
    inner = inner_mode(mode)
    if steps is not None:
        steps = whole_number("steps", steps)
    if inner != "predict":
        trainer.require_compiled()
    if is_stream(x):
        raise InvalidArgumentError(
            "profile() repeats steps on arrays", got=type(x).__name__, fix="pass the arrays of one of its batches"
        )
    feed = trainer.feed(x, y, sample_weight, mode=inner)
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    batch = batch if trainer.fixed_batch else min(batch, feed.rows)
    if feed.rows < batch:
        raise InvalidArgumentError(f"{feed.rows} rows are no batch", needed=f"{batch} rows, as the model's inputs say")
    step = trainer.step_for(inner, feed.signature)
    trainer.check(step, feed)
    executable = step.bind(step.sizes(feed.arrays, batch))
    empty = _costs(trainer, inner, step, executable, by)
    ceilings = step.program.ceilings()
    updated = {param.name: step.params[param.name] for param, _ in step.graph.updates}
    with trainer.lock, _restored(updated):
        run = _Run(executable, feed, batch)
        steps = steps or run.steps_in(_SECONDS)
        measured = run.measure(steps)
    report = _with_times(empty, executable.launches(), measured, ceilings)
    trainer._reports[inner] = (step, report)
    return report


def cost_report(trainer: Trainer, mode: str, step: Step, batch_size: int | None, by: str) -> Report:
    """What the kernels of a step cost, without times.

    Raises:
        InvalidArgumentError: a size of the model is known from data only.
    """
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    unknown = [symbol for symbol in step.graph.symbols if symbol != "B"]
    if unknown:
        raise InvalidArgumentError(
            f"model {trainer.model.name!r} has sizes that the data fix: {', '.join(unknown)}",
            fix="call trainer.profile on data first",
        )
    sizes = {"B": batch} if "B" in step.graph.symbols else {}
    return _costs(trainer, mode, step, step.bind(sizes), by)


def _costs(trainer: Trainer, mode: str, step: Step, executable: Executable, by: str) -> Report:
    launches = executable.launches()
    if not launches:
        raise UnsupportedError(
            f"target {trainer.target!r} runs op by op: there are no kernels to report on", fix='use target="cpu"'
        )
    from kgraph.models import Model

    layers = trainer.model._flatten_layers()
    nested = {layer.name for layer in layers if isinstance(layer, Model) and layer is not trainer.model}
    names = {optimizer.name for optimizer in (*optimizers_of(trainer.model), trainer.optimizer) if optimizer}
    parts = parts_of(step.program.stages["schedule"], names) if mode == "train" else {}
    rows = [_row(launch, layer_of(launch.node.loc.layer, nested), parts) for launch in launches]
    shown = {inner: name for name, inner in _MODES.items()}[mode]
    return Report(trainer.model.name, shown, executable.batch, tuple(rows)).grouped(by)


def _row(launch: Launch, layer: str, parts: Mapping[Node, str]) -> ReportRow:
    node, cost = launch.node, launch.cost
    return ReportRow(
        name=node.attrs["name"],
        layer=layer,
        part=parts.get(node, "forward"),
        family=node.attrs["family"],
        variant=launch.variant,
        kernels=1,
        tasks=launch.tasks,
        threads=launch.threads,
        calls=launch.turns,
        flops=cost.flops,
        special=cost.special,
        read=cost.read,
        written=cost.written,
    )


# -- times ------------------------------------------------------------------------------------------------------------
@contextmanager
def _restored(params: Mapping[str, Array]) -> Iterator[None]:
    """Put the values of variables back at the end, also after an error or Ctrl-C."""
    before = {name: array.copy() for name, array in params.items()}
    try:
        yield
    finally:
        for name, array in before.items():
            params[name][...] = array


@dataclasses.dataclass(frozen=True)
class _Measured:
    steps: int
    ns: float
    kernels: dict[Node, KernelTime]
    copies: KernelTime


class _Run:
    """Steps on the full batches of a feed, over and over."""

    def __init__(self, executable: Executable, feed: Feed, batch: int) -> None:
        self.executable, self.feed, self.batches, self.batch = executable, feed, feed.rows // batch, batch
        self._steps(_WARM_STEPS)

    def steps_in(self, seconds: float) -> int:
        """About how many steps take so long."""
        begin = time.perf_counter()
        self._steps(_WARM_STEPS)
        one = (time.perf_counter() - begin) / _WARM_STEPS
        return max(_LEAST_STEPS, int(seconds / max(one, 1e-6)))

    def measure(self, steps: int) -> _Measured:
        """Run with the clock on."""
        clock = self.executable.time_kernels()
        assert clock is not None
        try:
            begin = time.perf_counter_ns()
            self._steps(steps)
            spent = time.perf_counter_ns() - begin
        finally:
            clock.stop()
        return _Measured(steps, spent, clock.kernels(), clock.copies())

    def _steps(self, steps: int) -> None:
        done = 0
        while done < steps:
            now = min(self.batches, steps - done)
            self.executable.run_steps(self.feed.arrays, None, 0, now)
            done += now


def _with_times(report: Report, launches: list[Launch], measured: _Measured, ceilings: Ceilings | None) -> Report:
    step_ns = measured.ns / measured.steps
    rows = []
    for row, launch in zip(report.kernels, launches, strict=True):
        ns = measured.kernels.get(launch.node, KernelTime()).ns / measured.steps
        least = None
        if ceilings is not None:
            wide = any(value.dtype == "f64" for value in (*launch.node.operands, *launch.node.results))
            least = 1e9 * ceilings.seconds(launch.cost, launch.turns, launch.threads, wide=wide)
        rows.append(dataclasses.replace(row, ns=ns, least_ns=least, share=ns / step_ns))
    copies = measured.copies.ns / measured.steps
    return dataclasses.replace(
        report, kernels=tuple(rows), steps=measured.steps, step_ns=step_ns, copies_ns=copies, ceilings=ceilings
    )
