"""`Progbar`: a bar for loops of one's own, with the arguments of Keras.  `fit` draws its own `ProgressBar`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import numpy as np

from kgraph.errors import InvalidArgumentError
from kgraph.utils.progress import bar_signs, format_metrics, format_seconds, format_step_time

__all__ = ["Progbar"]


class Progbar:
    """Draws how far a loop is, and what some values are.

    Args:
        target: number of steps; None when not known.
        width: signs in the bar.
        verbose: 0 nothing, 1 a bar, 2 one line at the end.
        interval: seconds between two drawings.
        stateful_metrics: names of values that are shown as they are; of the others the mean over the steps is shown.
        stateless_metrics: the reverse: only of these the mean is shown.
        unit_name: of a step, after the time that one takes.
        stream: where to write; default: standard output as it is then.
        clock: seconds, for tests.

    Raises:
        InvalidArgumentError: both kinds of names are given.

    Example:
        >>> bar = Progbar(2, width=4, clock=lambda: 0.0, stream=sys.stdout)
        >>> bar.update(2, [("loss", 0.5)])
        2/2 ━━━━ 0s 0.00us/step - loss: 0.5000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise InvalidArgumentError("Progbar takes stateful_metrics or stateless_metrics, not both")
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._stream, self._clock = stream, clock
        self._seen_so_far = 0
        self._sums: dict[str, list[float]] = {}  # name -> [sum, weight]
        self._start = clock()
        self._drawn_at = float("-inf")
        self._drawn_length = 0

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Say that `current` steps are done.

        Args:
            current: how many, from the start.
            values: (name, value) of this step.
            finalize: whether this is the last call; default: when the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._take(name, float(np.mean(value)), max(current - self._seen_so_far, 1), finalize)
        self._seen_so_far = current
        now = self._clock()
        if not self.verbose or (self.verbose == 2 and not finalize):
            return
        if not finalize and now - self._drawn_at < self.interval:
            return
        self._drawn_at = now
        self._draw(current, now, finalize)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Say that `n` more steps are done."""
        self.update(self._seen_so_far + n, values)

    def _take(self, name: str, value: float, weight: int, finalize: bool) -> None:
        averaged = name in self.stateless_metrics if self.stateless_metrics is not None else self._averaged(name)
        if finalize or not averaged or name not in self._sums:
            weight = weight if averaged and not finalize else 1
            self._sums[name] = [value * weight, weight]
        else:
            self._sums[name][0] += value * weight
            self._sums[name][1] += weight

    def _averaged(self, name: str) -> bool:
        return name not in (self.stateful_metrics or ())

    def _draw(self, current: int, now: float, finalize: bool) -> None:
        stream = sys.stdout if self._stream is None else self._stream
        live = self.verbose == 1 and bool(getattr(stream, "isatty", lambda: False)())
        elapsed = now - self._start
        each = elapsed / max(current, 1)
        left = 0 if self.target is None else max(self.target - current, 0)
        shown = format_seconds(elapsed if finalize or self.target is None else each * left)
        total = "?" if self.target is None else str(self.target)
        parts = [f"{current:>{len(total)}}/{total}"]
        if self.verbose == 1:
            done, todo = bar_signs(stream)
            full = min(self.width, int(self.width * current / self.target)) if self.target else 0
            parts.append(done * full + todo * (self.width - full))
        else:
            parts.append("-")
        text = " ".join(parts) + f" {shown} {format_step_time(each)}/{self.unit_name}"
        text += format_metrics({name: total / count for name, (total, count) in self._sums.items()})
        # Off a terminal nothing can be drawn over, so that only the last line is written.
        if live:
            stream.write("\r" + text.ljust(self._drawn_length) + ("\n" if finalize else ""))
            self._drawn_length = len(text)
        elif finalize:
            stream.write(text + "\n")
        stream.flush()
