"""The progress bar of `fit`, `evaluate` and `predict`, in the form Keras users know.

Only text and time; the caller says which step it is at and what the metrics are.  A call of `update` that draws nothing
costs less than a microsecond, so it may stand in any loop.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

__all__ = ["ProgressBar", "format_metrics", "format_seconds", "format_step_time"]

_INTERVAL = 0.1  # seconds between two drawings
_WIDTH = 20  # signs in the bar
_GREEN, _GREY, _PLAIN, _CLEAR = "\x1b[32m", "\x1b[90m", "\x1b[0m", "\x1b[K"


def format_step_time(seconds: float) -> str:
    """Return the time of a step with three digits: `3.12us`, `312us`, `41.0ms`, `2.50s`.

    Example:
        >>> format_step_time(0.000312)
        '312us'
    """
    if seconds < 0.9995e-3:
        number, unit = seconds * 1e6, "us"
    elif seconds < 0.9995:
        number, unit = seconds * 1e3, "ms"
    else:
        number, unit = seconds, "s"
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{digits}f}{unit}"


def format_seconds(seconds: float) -> str:
    """Return a duration as `4s`, `1:05` (minutes) or `1:02:03` (hours)."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return ` - accuracy: 0.9121 - loss: 3.0000e-04`; the order is the caller's."""
    parts = []
    for name, value in metrics.items():
        number = float(value)
        plain = abs(number) > 1e-3 and abs(number) < 1e7
        parts.append(
            f" - {name}: {number:.4f}" if plain or number != number or number == 0 else f" - {name}: {number:.4e}"
        )
    return "".join(parts)


class ProgressBar:
    """One epoch on the screen.

    On a terminal the line is drawn anew, ten times a second at most.  Anywhere else one line is written at the end of
    the epoch.

    Args:
        total_steps: steps of the epoch; None when not known before it ends.
        epoch: number of this epoch, 1 for the first; None writes no `Epoch 1/5` line (evaluate, predict).
        epochs: number of epochs.
        verbose: 0 nothing, 1 a bar, 2 one line per epoch.
        stream: where to write; None: standard output as it is when the bar is made.
        clock: seconds, for tests.

    Raises:
        Nothing of its own: what the stream raises passes through.
    """

    def __init__(
        self,
        total_steps: int | None,
        epoch: int | None = 1,
        epochs: int = 1,
        verbose: int = 1,
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.total_steps, self.epoch, self.epochs, self.verbose = total_steps, epoch, epochs, verbose
        self.stream = sys.stdout if stream is None else stream
        self.clock = clock
        self.step = 0
        self._live = verbose == 1 and bool(getattr(self.stream, "isatty", lambda: False)())
        self._signs = bar_signs(self.stream)
        self._finished = False
        if verbose and epoch is not None:
            self._write(f"Epoch {epoch}/{epochs}\n")
        self._start = clock()
        # Nothing is drawn before the first interval is over: short epochs write their last line only.
        self._next = self._start + _INTERVAL if self._live else float("inf")

    def update(self, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """Say that `step` steps are done.  `metrics` are read only when the line is drawn."""
        self.step = step
        if self._next == float("inf"):
            return
        now = self.clock()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._draw(metrics or {}, now)

    @property
    def wants_update(self) -> bool:
        """Whether `update` would draw now; lets a caller leave out the reading of metrics."""
        return self._live and self.clock() >= self._next

    def finish(self, metrics: Mapping[str, float] | None = None, steps: int | None = None) -> None:
        """Write the last line of the epoch.  `steps`: how many there were, when it was not known before."""
        if self._finished or not self.verbose:
            return
        self._finished = True
        if steps is not None:
            self.step = steps
            if self.total_steps is None:
                self.total_steps = steps
        elif self.total_steps is not None and self.step == 0:
            self.step = self.total_steps
        elapsed = self.clock() - self._start
        each = format_step_time(elapsed / max(self.step, 1))
        if self.verbose == 2:
            text = f"{self._count()} - {format_seconds(elapsed)} - {each}/step"
        else:
            text = f"{self._count()} {self._bar()} {format_seconds(elapsed)} {each}/step"
        end = f"{_CLEAR}\n" if self._live else "\n"
        self._write(("\r" if self._live else "") + text + format_metrics(metrics or {}) + end)

    def close(self) -> None:
        """End a line that was being drawn, after an interruption; harmless at any time."""
        if self._live and not self._finished:
            self._finished = True
            self._write("\n")

    def _draw(self, metrics: Mapping[str, float], now: float) -> None:
        elapsed = now - self._start
        each = elapsed / max(self.step, 1)
        if self.total_steps is None:
            shown = elapsed
        else:
            shown = each * max(self.total_steps - self.step, 0)  # what is still to come
        plain = f"{self._count()} {{}} {format_seconds(shown)} {format_step_time(each)}/step{format_metrics(metrics)}"
        # A line longer than the terminal would wrap, and \r would not find its beginning.
        room = shutil.get_terminal_size((80, 24)).columns - _WIDTH - 1
        if len(plain) - 2 > room:
            plain = plain[: max(room + 1, plain.index("{}") + 2)] + "…"
        self._write("\r" + plain.replace("{}", self._bar(), 1) + _CLEAR)

    def _count(self) -> str:
        total = "?" if self.total_steps is None else str(self.total_steps)
        return f"{self.step:>{len(total)}}/{total}"

    def _bar(self) -> str:
        done, todo = self._signs
        share = 0.0 if not self.total_steps else min(1.0, self.step / self.total_steps)
        full = int(share * _WIDTH)
        if self._live:
            return f"{_GREEN}{done * full}{_GREY}{todo * (_WIDTH - full)}{_PLAIN}"
        return done * full + todo * (_WIDTH - full)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def bar_signs(stream: TextIO) -> tuple[str, str]:
    """Signs for done and not done that the stream can encode."""
    try:
        "━".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "=", "."
    return "━", "━" if getattr(stream, "isatty", lambda: False)() else "─"
