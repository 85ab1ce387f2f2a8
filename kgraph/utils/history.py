"""`plot_history`: curves of losses and metrics over epochs, as SVG drawn here, or as an image by Matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = ["plot_history"]

_WIDTH, _HEIGHT, _MARGIN = 480, 240, 48  # pixels of one chart
_COLOURS = ("#1f77b4", "#d62728")


def plot_history(history: Any, to_file: str = "history.svg") -> str:
    """One chart for each loss and metric, training and validation together; returns the name of the file.

    Args:
        history: what `fit` returned, or its dict of lists.
        to_file: `.svg` is drawn without other packages; `.png`, `.pdf` and the like need Matplotlib.

    Raises:
        InvalidArgumentError: there are no curves, or the name has no ending.
        UnsupportedError: the format needs Matplotlib, which is not installed.
    """
    values = getattr(history, "history", history)
    if not isinstance(values, Mapping) or not any(values.values()):
        raise InvalidArgumentError("plot_history needs a history with at least one epoch", got=repr(history)[:80])
    ending = Path(to_file).suffix.lower()
    if not ending:
        raise InvalidArgumentError(f"plot_history: {to_file!r} has no ending", fix="write 'history.svg'")
    charts = [
        (key, [(name, list(map(float, values[name]))) for name in (key, f"val_{key}") if name in values])
        for key in values
        if not (key.startswith("val_") and key[4:] in values)
    ]
    if ending == ".svg":
        Path(to_file).write_text(_svg(charts), encoding="utf-8", newline="\n")
    else:
        _by_matplotlib(charts, to_file)
    return to_file


Charts = Sequence[tuple[str, Sequence[tuple[str, Sequence[float]]]]]


def _svg(charts: Charts) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT * len(charts)}" '
        f'font-family="sans-serif" font-size="12">'
    ]
    for number, (title, curves) in enumerate(charts):
        parts += [f'<g transform="translate(0,{_HEIGHT * number})">', *_chart(title, curves), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(title: str, curves: Sequence[tuple[str, Sequence[float]]]) -> list[str]:
    finite = [value for _, curve in curves for value in curve if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    last = max(len(curve) for _, curve in curves)
    right, bottom = _WIDTH - 16, _HEIGHT - 28

    def place(epoch: int, value: float) -> str:
        x = _MARGIN + (right - _MARGIN) * (epoch / max(last - 1, 1))
        y = bottom - (bottom - 28) * ((value - low) / ((high - low) or 1.0))
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<text x="{_MARGIN}" y="18" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{_MARGIN},28V{bottom}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{_MARGIN - 4}" y="32" text-anchor="end">{high:.4g}</text>',
        f'<text x="{_MARGIN - 4}" y="{bottom}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">epoch {last}</text>',
    ]
    for number, (name, curve) in enumerate(curves):
        points = " ".join(place(epoch, value) for epoch, value in enumerate(curve) if math.isfinite(value))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[number]}" stroke-width="2"/>')
        lines.append(
            f'<text x="{right - 110 * number}" y="18" text-anchor="end" fill="{_COLOURS[number]}">{escape(name)}</text>'
        )
    return lines


def _by_matplotlib(charts: Charts, to_file: str) -> None:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UnsupportedError(
            f"plot_history needs Matplotlib for {to_file!r}, and it is not installed",
            fix="pip install 'kgraph[plot]', or write to a file that ends in .svg",
        ) from None
    figure = Figure(figsize=(6.0, 3.0 * len(charts)), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(len(charts), squeeze=False)[:, 0], charts):
        for name, curve in curves:
            axes.plot(range(1, len(curve) + 1), curve, label=name)
        axes.set(title=title, xlabel="epoch")
        axes.legend()
    figure.savefig(to_file)
