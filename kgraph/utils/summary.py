"""The table of `model.summary()`: rows in, text out.

The module formats only; what stands in the rows is decided by the model.  Plain text is drawn here; for a terminal the
same table is drawn by rich, in colours, when rich is installed.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SummaryRow", "format_bytes", "format_summary"]


@dataclass(frozen=True)
class SummaryRow:
    """One layer.

    Attributes:
        name: name of the layer.
        class_name: its type.
        output_shape: shape as text, "(None, 64)"; "?" before the layer is built.
        params: number of parameters, or None before the layer is built.
        connected_to: what it is called on, "dense[0][0]".
        trainable: whether its weights are trained; shown for layers that have some.
        depth: 0 for a layer of the model itself, 1 for one of a model in it, ...
    """

    name: str
    class_name: str
    output_shape: str
    params: int | None
    connected_to: Sequence[str] = ()
    trainable: bool = True
    depth: int = 0


def format_bytes(count: float) -> str:
    """Return a number of bytes as Keras writes it: `0.00 B`, `3.20 KB`, `19.81 MB` (1 KB is 1024 B)."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(count) < 1024 or unit == "TB":
            break
        count /= 1024
    return f"{count:.2f} {unit}"


def format_summary(
    rows: Sequence[SummaryRow],
    *,
    title: str,
    trainable_params: int,
    non_trainable_params: int = 0,
    optimizer_params: int = 0,
    bytes_per_param: float = 4.0,
    line_length: int | None = None,
    show_trainable: bool = False,
    show_connections: bool | None = None,
    styled: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return the table of a model and the lines of totals under it.

    Args:
        rows: one per layer, in order.
        title: first line, `Model: "mlp"`.
        trainable_params: number of elements that are trained.
        non_trainable_params: number of elements that are not.
        optimizer_params: number of elements the optimizer keeps; 0 leaves the line out.
        bytes_per_param: size of one element in bytes.
        line_length: greatest width in characters; cells wrap to fit.  None: 88, and 108 with connections.
        show_trainable: add a column Y or N.
        show_connections: add "Connected to".  None: when a row is connected to anything but the row before it.
        styled: draw with rich, in colours, if it is installed.  For terminals.
        ascii_only: draw with `+`, `-` and `|`, for streams that encode nothing else.
    """
    if show_connections is None:
        show_connections = _branches(rows)
    header = ["Layer (type)", "Output Shape", "Param #"]
    if show_connections:
        header.append("Connected to")
    if show_trainable:
        header.append("Trainable")
    table = [_cells(row, show_connections, show_trainable) for row in rows]
    limit = line_length if line_length is not None else 108 if show_connections else 88
    right = [name == "Param #" for name in header]
    body = None
    if styled and not ascii_only:
        body = _rich_table(header, table, right, limit)
    if body is None:
        body = _plain_table(header, table, right, limit, _ASCII if ascii_only else _BOX)
    total = trainable_params + non_trainable_params + optimizer_params
    totals = [
        ("Total params", total),
        ("Trainable params", trainable_params),
        ("Non-trainable params", non_trainable_params),
    ]
    if optimizer_params:
        totals.append(("Optimizer params", optimizer_params))
    lines = [f" {name}: {count:,} ({format_bytes(count * bytes_per_param)})" for name, count in totals]
    return "\n".join([title, body, *lines]) + "\n"


def _branches(rows: Sequence[SummaryRow]) -> bool:
    """Whether the order of the rows does not say how they are connected."""
    before = None
    for row in rows:
        sources = [source.partition("[")[0] for source in row.connected_to]
        if len(sources) > 1 or (sources and before is not None and sources[0] != before):
            return True
        before = row.name
    return False


def _cells(row: SummaryRow, connections: bool, trainable: bool) -> list[str]:
    indent = "  " * (row.depth - 1) + "└ " if row.depth else ""
    cells = [
        f"{indent}{row.name} ({row.class_name})",
        row.output_shape,
        "?" if row.params is None else f"{row.params:,}",
    ]
    if connections:
        cells.append(",\n".join(row.connected_to) or "-")
    if trainable:
        cells.append("-" if not row.params else "Y" if row.trainable else "N")
    return cells


@dataclass(frozen=True)
class _Box:
    """Four lines (above the head, under it, between rows, below): left end, line, joint, right end; and the walls."""

    top: str
    head: str
    between: str
    bottom: str
    head_wall: str
    wall: str


_BOX = _Box("┏━┳┓", "┡━╇┩", "├─┼┤", "└─┴┘", "┃", "│")
_ASCII = _Box("+-++", "+=++", "+-++", "+-++", "|", "|")


def _plain_table(header: list[str], rows: list[list[str]], right: list[bool], limit: int, box: _Box) -> str:
    widths = _widths([header] + rows, right, limit)

    def rule(signs: str) -> str:
        return signs[0] + signs[2].join(signs[1] * (width + 2) for width in widths) + signs[3]

    def lines(cells: list[str], wall: str) -> list[str]:
        wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths)]
        height = max(len(cell) for cell in wrapped)
        out = []
        for number in range(height):
            parts = []
            for cell, width, flush_right in zip(wrapped, widths, right):
                text = cell[number] if number < len(cell) else ""
                room = " " * (width - _columns(text))
                parts.append(f" {room}{text} " if flush_right else f" {text}{room} ")
            out.append(wall + wall.join(parts) + wall)
        return out

    out = [rule(box.top), *lines(header, box.head_wall), rule(box.head)]
    for number, row in enumerate(rows):
        if number:
            out.append(rule(box.between))
        out += lines(row, box.wall)
    out.append(rule(box.bottom))
    text = "\n".join(out)
    return text.replace("└ ", "- ") if box is _ASCII else text


def _widths(rows: list[list[str]], fixed: list[bool], limit: int) -> list[int]:
    """Natural widths, and when their sum is over the limit the widest columns give way one by one."""
    widths = [max(_columns(line) for row in rows for line in row[i].split("\n")) for i in range(len(rows[0]))]
    room = limit - 3 * len(widths) - 1
    while sum(widths) > room:
        shrinkable = [i for i, keep in enumerate(fixed) if not keep and widths[i] > 10]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda i: widths[i])] -= 1
    return widths


def _wrap(text: str, width: int) -> list[str]:
    """Break after spaces, commas, slashes and underscores, and anywhere if a piece is too long."""
    out = []
    for line in text.split("\n"):
        current = ""
        for piece in re.findall(r"[^ ,/_]*[ ,/_]|[^ ,/_]+", line):
            if _columns(current + piece.rstrip()) > width and current:
                out.append(current.rstrip())
                current = ""
            while _columns(piece.rstrip()) > width:
                cut = len(piece)
                while cut > 1 and _columns(piece[:cut]) > width:
                    cut -= 1
                out.append(piece[:cut])
                piece = piece[cut:]
            current += piece
        out.append(current.rstrip())
    return out


def _columns(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _rich_table(header: list[str], rows: list[list[str]], right: list[bool], limit: int) -> str | None:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return None
    styles = {"Layer (type)": "default", "Output Shape": "cyan", "Param #": "green", "Trainable": "yellow"}
    table = Table(box=box.HEAVY_HEAD, header_style="bold", show_lines=True)
    for name, flush_right in zip(header, right):
        style = styles.get(name, "bright_black")
        table.add_column(name, justify="right" if flush_right else "left", style=style, overflow="fold")
    for row in rows:
        cells = [Text(cell) for cell in row]
        cells[0].highlight_regex(r"\((?P<blue>.*)\)$")
        table.add_row(*cells)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=limit, color_system="standard", legacy_windows=False)
    console.print(table)
    return stream.getvalue().rstrip("\n")
