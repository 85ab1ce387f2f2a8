"""Pictures of graphs: a layered drawing as SVG, with nothing installed, and the same graph as DOT source.

`kgraph.utils.layered` places the boxes of one level.  A cluster is laid out by itself and takes part in the level
around it as one box with ports, so a frame never covers a node that is not in it.

This module knows no layer and no IR; callers translate to `DrawNode`, `DrawEdge` and `Cluster`.  The output depends
on the arguments only: equal input gives equal bytes on every machine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal
from xml.sax.saxutils import escape

from kgraph.errors import InvalidArgumentError
from kgraph.utils.layered import SPREAD, Box, Level, Link, Route

__all__ = ["KINDS", "Cluster", "DrawEdge", "DrawNode", "dot_text", "layered_svg", "text_width"]


# ---------------------------------------------------------------------------------------------------- what is drawn


@dataclass(frozen=True)
class DrawNode:
    """A box.

    Attributes:
        id: names the node in edges and clusters; unique.
        title: first line, in the coloured head of the box.
        lines: further lines, smaller.  A tab divides a line into a label at the left and a value at the right.
        kind: one of `KINDS`; chooses the colour.  Other words are drawn as "other".
    """

    id: str
    title: str
    lines: Sequence[str] = ()
    kind: str = "other"


@dataclass(frozen=True)
class DrawEdge:
    """An arrow from node `src` to node `dst`, both given by id, with an optional text beside it."""

    src: str
    dst: str
    label: str = ""


@dataclass(frozen=True)
class Cluster:
    """A frame with a title round nodes (by id) and further frames; each node lies directly in one cluster at most."""

    title: str
    nodes: Sequence[str] = ()
    clusters: Sequence[Cluster] = ()


# ------------------------------------------------------------------------------------------------- sizes and colours

TITLE_SIZE, LINE_SIZE, LABEL_SIZE, HEAD_SIZE = 13.0, 11.0, 10.5, 16.0  # px
HEADER_HEIGHT, LINE_HEIGHT, BODY_PAD = 27.0, 16.0, 6.0
PAD_X = 13.0
MIN_WIDTH = 84.0
MAX_CHARS = 44
FRAME_PAD, FRAME_TITLE = 18.0, 30.0
MARGIN = 24.0
LOOP_TURN = 20.0  # how far the curve of a loop reaches beyond its box
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"

# Advance widths of U+0020..U+007E in hundredths of an em, DejaVu Sans: the widest of the usual fonts.
_REGULAR = (
    "32 40 46 84 64 95 78 27 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 84 84 53 "
    "100 68 69 70 77 63 58 77 75 29 29 66 56 86 75 79 60 79 69 63 61 73 68 99 69 61 69 39 34 39 84 50 "
    "50 61 63 55 63 62 35 63 63 28 28 58 28 97 63 61 63 63 41 52 39 63 59 82 59 59 52 64 34 64 84"
)
_BOLD = (
    "35 46 52 84 70 100 87 31 46 46 52 84 38 42 38 37 70 70 70 70 70 70 70 70 70 70 40 40 84 84 84 58 "
    "100 77 76 73 83 68 68 82 84 37 37 77 64 100 84 85 73 85 77 72 68 81 77 110 77 72 73 46 37 46 84 50 "
    "50 67 72 59 72 68 44 72 71 34 34 67 34 104 71 69 72 72 49 60 48 71 65 92 65 65 58 71 37 71 84"
)
_WIDTHS = {
    bold: {chr(32 + i): int(width) / 100 for i, width in enumerate(table.split())}
    for bold, table in ((False, _REGULAR), (True, _BOLD))
}


@dataclass(frozen=True)
class _Colour:
    """Head, line and text of a box, for light and for dark surroundings."""

    head: str
    line: str
    text: str
    dark_head: str
    dark_line: str
    dark_text: str


_COLOURS = {
    "gray": _Colour("#edf0f3", "#9aa5b1", "#3b4754", "#2b323b", "#5f6b79", "#d5dbe2"),
    "green": _Colour("#dcf3e3", "#58a878", "#1b5936", "#17392a", "#3d8a63", "#a9e3c0"),
    "blue": _Colour("#dfebfb", "#5b8fd6", "#1f4b87", "#182f50", "#4577b8", "#b1d0f7"),
    "indigo": _Colour("#e6e5fb", "#7b76d2", "#3b3690", "#2a285c", "#6a66c0", "#c8c5fa"),
    "purple": _Colour("#f0e3f9", "#a270c6", "#612c86", "#3b2251", "#8a5aae", "#dfbff3"),
    "pink": _Colour("#fbe3ee", "#cf6f9c", "#8a2756", "#4d1d35", "#b35a85", "#f6bcd6"),
    "red": _Colour("#fbe4e2", "#d0736b", "#8c2f27", "#4d2320", "#b35d56", "#f5bfba"),
    "orange": _Colour("#fdead6", "#d58f4a", "#7c470e", "#472d14", "#b97a3c", "#f3cea3"),
    "yellow": _Colour("#f9f1cc", "#bfa03a", "#665110", "#3f3610", "#a1872e", "#ecdc94"),
    "teal": _Colour("#d7f1ef", "#4aa39c", "#165853", "#13393a", "#3b8983", "#9ce0da"),
}

_KIND_COLOUR = {
    "input": "green",
    "output": "green",
    "dense": "blue",
    "conv": "indigo",
    "pool": "teal",
    "norm": "yellow",
    "activation": "orange",
    "dropout": "gray",
    "merge": "red",
    "recurrent": "purple",
    "attention": "purple",
    "embedding": "pink",
    "shape": "gray",
    "random": "gray",
    "model": "blue",
    "loss": "red",
    "metric": "teal",
    "optimizer": "yellow",
    "op": "gray",
    "other": "gray",
}

KINDS = tuple(_KIND_COLOUR)
"""Words for `DrawNode.kind`; each has a colour."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return an upper estimate of the width of `text` in px at font size `size` px, from a table of widths."""
    table = _WIDTHS[bold]
    width = 0.0
    for char in text:
        known = table.get(char)
        if known is None:
            wide = unicodedata.east_asian_width(char) in "WF"
            known = 0.0 if unicodedata.combining(char) else 1.0 if wide else 0.72
        width += known
    return width * size


def _clip(text: str) -> str:
    """Shorten in the middle, where names that differ at the end stay different."""
    text = "".join(char if char.isprintable() else " " for char in text)
    if len(text) <= MAX_CHARS:
        return text
    keep = MAX_CHARS - 1
    return text[: keep - keep // 2] + "…" + text[-(keep // 2) :]


def _clip_line(line: str) -> str:
    label, tab, value = line.partition("\t")
    return _clip(label) + tab + _clip(value)


def _node_size(node: DrawNode) -> tuple[float, float]:
    widths = [text_width(_clip(node.title), TITLE_SIZE, bold=True)]
    for line in node.lines:
        label, tab, value = _clip_line(line).partition("\t")
        widths.append(text_width(label, LINE_SIZE) + text_width(value, LINE_SIZE) + (12.0 if tab else 0.0))
    # Even whole numbers: centres fall on whole pixels and hairlines stay sharp.
    width = 2.0 * -(-max(MIN_WIDTH, max(widths) + 2 * PAD_X) // 2)
    body = len(node.lines) * LINE_HEIGHT + BODY_PAD + 4.0 if node.lines else 2.0
    return width, HEADER_HEIGHT + body


# ----------------------------------------------------------------------------------------------- nested levels


# Side, source, and for parallel edges that enter their end and number: else all edges from one source share a port.
_PortKey = tuple[str, str, str, int]


class _Frame:
    """One cluster, or the whole drawing: what lies directly in it, its extent, and its place."""

    def __init__(self, cluster: Cluster | None, nodes: list[str], frames: list[_Frame]) -> None:
        self.cluster, self.nodes, self.frames = cluster, nodes, frames
        self.width = self.height = 0.0
        self.left = self.top = 0.0  # within the frame around it, then in the drawing
        self.ports: dict[_PortKey, float] = {}  # -> cross
        self.routes: dict[int, Route] = {}  # edge number -> its part in this frame


class _Drawing:
    """Lays out all frames from the inside to the outside, then turns places into those of the drawing."""

    def __init__(
        self, nodes: Sequence[DrawNode], edges: Sequence[DrawEdge], clusters: Sequence[Cluster], rankdir: str
    ) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.edges = edges
        self.across = rankdir == "LR"
        self.size = {node.id: _node_size(node) for node in nodes}
        self.home: dict[str, tuple[_Frame, ...]] = {}  # node -> frames around it, outermost first
        self.places: dict[str, tuple[float, float]] = {}  # node -> left, top (cross, along)
        copies: dict[tuple[str, str], int] = {}
        self.copy: list[int] = []
        for edge in edges:
            self.copy.append(copies.get((edge.src, edge.dst), 0))
            copies[edge.src, edge.dst] = self.copy[-1] + 1
        self.copies = copies
        framed = {name for cluster in clusters for name in _members(cluster)}
        self.root = _Frame(None, [node.id for node in nodes if node.id not in framed], [_frame(c) for c in clusters])
        self._find_homes(self.root, (self.root,))
        self._layout(self.root, 0)
        self._settle(self.root, MARGIN, MARGIN)

    def _find_homes(self, frame: _Frame, path: tuple[_Frame, ...]) -> None:
        for name in frame.nodes:
            self.home[name] = path
        for inner in frame.frames:
            self._find_homes(inner, path + (inner,))

    def _spread(self, number: int) -> float:
        """Offset of one of several edges between the same two nodes."""
        edge = self.edges[number]
        total = self.copies[edge.src, edge.dst]
        return (self.copy[number] - (total - 1) / 2) * SPREAD

    def _layout(self, frame: _Frame, depth: int) -> None:
        for inner in frame.frames:
            self._layout(inner, depth + 1)
        order = {name: place for place, name in enumerate(self.nodes)}
        entries: list[tuple[int, str | _Frame]] = [(order[name], name) for name in frame.nodes]
        for inner in frame.frames:
            entries.append((min((order[name] for name in _inside(inner)), default=len(order)), inner))
        entries.sort(key=lambda entry: entry[0])  # by first appearance, frames among nodes
        boxes: list[Box] = []
        number: dict[str | _Frame, int] = {}
        for _, entry in entries:
            number[entry] = len(boxes)
            if isinstance(entry, str):
                width, height = self.size[entry]
                boxes.append(Box(height, width) if self.across else Box(width, height))
            else:
                boxes.append(Box(entry.width, entry.height))
        ports: dict[_PortKey, int] = {}
        links: dict[Link, int] = {}
        used: list[tuple[int, int]] = []  # (edge, link)

        def end(name: str, edge: int, side: Literal["in", "out"]) -> tuple[int, float]:
            path = self.home[name]
            source, target = self.edges[edge].src, self.edges[edge].dst
            parallel = side == "in" and self.copies[source, target] > 1
            key = (side, source, target if parallel else "", self.copy[edge] if parallel else 0)
            if len(path) <= depth or path[depth] is not frame:  # outside: through a port of this frame
                if key not in ports:
                    ports[key] = len(boxes)
                    boxes.append(Box(2.0, 0.0, port=side))
                return ports[key], 1.0
            if len(path) == depth + 1:
                box = number[name]
                leaves = side == "out" and self.home[target][: depth + 1] != path  # through the shared port
                return box, boxes[box].width / 2 + (0.0 if leaves else self._spread(edge))
            inner = path[depth + 1]
            return number[inner], inner.ports.get(key, inner.width / 2)

        for index, edge in enumerate(self.edges):
            src_path, dst_path = self.home[edge.src], self.home[edge.dst]
            src_in = len(src_path) > depth and src_path[depth] is frame
            dst_in = len(dst_path) > depth and dst_path[depth] is frame
            if not (src_in or dst_in):
                continue
            if len(src_path) > depth + 1 and len(dst_path) > depth + 1 and src_path[depth + 1] is dst_path[depth + 1]:
                if src_in:
                    continue  # wholly within an inner frame
            # a port at the upper side stands for a source outside, seen by the frames inside as "in"
            src, src_at = end(edge.src, index, "out" if src_in else "in")
            dst, dst_at = end(edge.dst, index, "in" if dst_in else "out")
            link = Link(src, dst, src_at, dst_at, edge.label if src_in and dst_in else "")
            used.append((index, links.setdefault(link, len(links))))
        start = 0.0 if frame.cluster is None else FRAME_PAD if self.across else FRAME_TITLE
        level = Level(boxes, list(links), begin_gap=start, end_gap=FRAME_PAD)
        routes = level.run()
        self._measure(frame, level, boxes, start)
        shift_cross, shift_along = self.offset
        for entry, box_number in number.items():
            box = boxes[box_number]
            if isinstance(entry, str):
                self.places[entry] = (box.left + shift_cross, box.top + shift_along)
            else:
                entry.left, entry.top = box.left + shift_cross, box.top + shift_along
        for key, box_number in ports.items():
            frame.ports[key] = boxes[box_number].left + 1.0 + shift_cross
        for index, link_number in used:
            frame.routes[index] = [
                (x + shift_cross, a + shift_along, b + shift_along) for x, a, b in routes[link_number]
            ]

    def _measure(self, frame: _Frame, level: Level, boxes: list[Box], start: float) -> None:
        """Set the extent of the frame, and `offset`: where the origin of the level lies in it."""
        if frame.cluster is None:
            frame.width, frame.height, self.offset = level.width, level.height, (0.0, 0.0)
            return
        title = text_width(_clip(frame.cluster.title), LINE_SIZE, bold=True) + 2 * FRAME_PAD
        entry = 0.0 if any(box.port == "in" for box in boxes) else start
        leave = 0.0 if any(box.port == "out" for box in boxes) else FRAME_PAD
        side = FRAME_TITLE if self.across else FRAME_PAD
        frame.width = side + level.width + FRAME_PAD
        frame.height = entry + level.height + leave
        cross = side
        if self.across:
            frame.height = max(frame.height, title)
        else:
            # edges that enter from above pass at the right of the caption
            entries = [box.left + cross for box in boxes if box.port == "in"]
            extra = max(0.0, title - min(entries)) if entries else max(0.0, (title - frame.width) // 2)
            cross += extra
            frame.width += 2 * extra
        self.offset = (cross, entry)

    def _settle(self, frame: _Frame, cross: float, along: float) -> None:
        frame.left, frame.top = frame.left + cross, frame.top + along
        for name in frame.nodes:
            left, top = self.places[name]
            self.places[name] = (left + frame.left, top + frame.top)
        for number, route in frame.routes.items():
            frame.routes[number] = [(x + frame.left, a + frame.top, b + frame.top) for x, a, b in route]
        for inner in frame.frames:
            self._settle(inner, frame.left, frame.top)

    def common(self, number: int) -> int:
        """Number of frames round both ends of an edge."""
        src, dst = (self.home[end] for end in (self.edges[number].src, self.edges[number].dst))
        count = 0
        while count < min(len(src), len(dst)) and src[count] is dst[count]:
            count += 1
        return count

    def crossing(self, number: int) -> Route:
        """The part of an edge between the frames of its ends, where its label stands."""
        return self.home[self.edges[number].src][self.common(number) - 1].routes[number]

    def route(self, number: int) -> Route:
        """The whole way of an edge: out of its frames, across, into the frames of its end."""
        edge = self.edges[number]
        src, dst = self.home[edge.src], self.home[edge.dst]
        common = self.common(number)
        frames = list(src[: common - 1 : -1]) + [src[common - 1]] + list(dst[common:])
        return [run for frame in frames for run in frame.routes[number]]


def _frame(cluster: Cluster) -> _Frame:
    return _Frame(cluster, list(cluster.nodes), [_frame(inner) for inner in cluster.clusters])


def _members(cluster: Cluster) -> Iterator[str]:
    yield from cluster.nodes
    for inner in cluster.clusters:
        yield from _members(inner)


def _inside(frame: _Frame) -> Iterator[str]:
    yield from frame.nodes
    for inner in frame.frames:
        yield from _inside(inner)


# ------------------------------------------------------------------------------------------------------- SVG text


def layered_svg(
    nodes: Sequence[DrawNode],
    edges: Sequence[DrawEdge],
    *,
    rankdir: str = "TB",
    clusters: Sequence[Cluster] = (),
    title: str = "",
    theme: Literal["auto", "light", "dark"] = "auto",
) -> str:
    r"""Draw a directed graph in layers and return the SVG document as text.

    Args:
        nodes: the boxes, in the order in which ties are decided.
        edges: arrows between them.  Cycles, parallel edges and loops are drawn too.
        rankdir: "TB": arrows run from top to bottom; "LR": from left to right.
        clusters: frames round groups of nodes, nested as deep as one likes.
        title: a heading over the drawing.
        theme: "auto" follows the viewer's preference for light or dark surroundings.

    Raises:
        InvalidArgumentError: an id occurs twice or is not known, or `rankdir` or `theme` is another word.

    Example:
        >>> svg = layered_svg([DrawNode("a", "first"), DrawNode("b", "second")], [DrawEdge("a", "b")])
        >>> svg.startswith("<svg") and svg.endswith("</svg>\n")
        True
    """
    _check(nodes, edges, clusters, rankdir)
    if theme not in ("auto", "light", "dark"):
        raise InvalidArgumentError(f"unknown theme {theme!r}", needed="'auto', 'light' or 'dark'")
    drawing = _Drawing(nodes, edges, clusters, rankdir)
    return _Svg(drawing, title, theme).text()


class _Svg:
    def __init__(self, drawing: _Drawing, title: str, theme: str) -> None:
        self.drawing, self.title, self.theme = drawing, title, theme
        self.head = 34.0 if title else 0.0
        root = drawing.root
        width, height = root.width + 2 * MARGIN, root.height + 2 * MARGIN
        if drawing.across:
            width, height = height, width
        least = text_width(_clip(title), HEAD_SIZE, bold=True) + 2 * MARGIN if title else 0.0
        self.left = max(0.0, (least - width) // 2)
        self.width, self.height = float(ceil(max(width, least))), float(ceil(height + self.head))

    def point(self, cross: float, along: float) -> tuple[float, float]:
        x, y = (along, cross) if self.drawing.across else (cross, along)
        return x + self.left, y + self.head

    def text(self) -> str:
        width, height = _num(self.width), _num(self.height)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="{FONT}">',
        ]
        if self.title:
            parts.append(f"<title>{escape(_printable(self.title))}</title>")
        parts += [
            self._style(),
            '<defs><marker id="arrow" viewBox="0 0 10 10" refX="8.6" refY="5" markerWidth="8" markerHeight="8" '
            'orient="auto"><path class="tip" d="M1 1.2 9 5 1 8.8 2.8 5z"/></marker></defs>',
            f'<rect class="page" width="{width}" height="{height}"/>',
        ]
        if self.title:
            heading = escape(_clip(self.title))
            parts.append(f'<text class="head" x="{_num(self.width / 2)}" y="33" text-anchor="middle">{heading}</text>')
        parts += self._frames(self.drawing.root, 0)
        parts += [self._edge(number) for number in range(len(self.drawing.edges))]
        parts += self._frame_titles(self.drawing.root)
        parts += [label for number in range(len(self.drawing.edges)) for label in self._edge_label(number)]
        parts += [self._node(node) for node in self.drawing.nodes.values()]
        parts.append("</svg>\n")
        return "\n".join(parts)

    def _style(self) -> str:
        names = sorted({_colour_name(node.kind) for node in self.drawing.nodes.values()})
        light = [
            ".page{fill:#ffffff}.card{fill:#ffffff}.edge{fill:none;stroke:#8792a0}.tip{fill:#8792a0}",
            ".head{fill:#1f2933}.line{fill:#4b5763}.name{fill:#7b8794}.label{fill:#5f6b79}.halo{fill:#ffffff}",
            ".frame{fill:#f7f8fa;stroke:#c3cad3}.deep{fill:#eff1f4}.caption{fill:#5f6b79}",
        ]
        dark = [
            ".page{fill:#14181d}.card{fill:#1c2128}.edge{stroke:#76828f}.tip{fill:#76828f}",
            ".head{fill:#e6eaef}.line{fill:#b8c1cb}.name{fill:#8793a0}.label{fill:#a3aeba}.halo{fill:#14181d}",
            ".frame{fill:#191e24;stroke:#3d4753}.deep{fill:#1f252c}.caption{fill:#a3aeba}",
        ]
        for name in names:
            c = _COLOURS[name]
            light.append(f".{name} .top{{fill:{c.head}}}.{name} .rim{{stroke:{c.line}}}.{name} .title{{fill:{c.text}}}")
            dark.append(f".{name} .top{{fill:{c.dark_head}}}.{name} .rim{{stroke:{c.dark_line}}}")
            dark.append(f".{name} .title{{fill:{c.dark_text}}}")
        rules = [
            f".title{{font-size:{_num(TITLE_SIZE)}px;font-weight:600}}.line,.name{{font-size:{_num(LINE_SIZE)}px}}",
            f".head{{font-size:{_num(HEAD_SIZE)}px;font-weight:600}}.label{{font-size:{_num(LABEL_SIZE)}px}}",
            f".caption{{font-size:{_num(LINE_SIZE)}px;font-weight:600}}",
            ".rim{fill:none;stroke-width:1.2}.edge{stroke-width:1.4;stroke-linecap:round}.frame{stroke-dasharray:5 3}",
        ] + light
        if self.theme == "dark":
            rules += dark
        elif self.theme == "auto":
            rules.append("@media (prefers-color-scheme:dark){" + "".join(dark) + "}")
        return "<style>\n" + "\n".join(rules) + "\n</style>"

    def _frame_corner(self, frame: _Frame) -> tuple[float, float, float, float]:
        x, y = self.point(frame.left, frame.top)
        size = (frame.height, frame.width) if self.drawing.across else (frame.width, frame.height)
        return x, y, size[0], size[1]

    def _frames(self, frame: _Frame, depth: int) -> list[str]:
        parts = []
        if frame.cluster is not None:
            x, y, width, height = self._frame_corner(frame)
            shade = "frame" if depth % 2 else "frame deep"
            place = f'x="{_num(x)}" y="{_num(y)}" width="{_num(width)}" height="{_num(height)}"'
            parts.append(f'<rect class="{shade}" {place} rx="12"/>')
        for inner in frame.frames:
            parts += self._frames(inner, depth + 1)
        return parts

    def _frame_titles(self, frame: _Frame) -> list[str]:
        parts = []
        for inner in frame.frames:
            if inner.cluster is not None:
                x, y, _, _ = self._frame_corner(inner)
                text = escape(_clip(inner.cluster.title))
                parts.append(f'<text class="caption" x="{_num(x + 12)}" y="{_num(y + 18)}">{text}</text>')
            parts += self._frame_titles(inner)
        return parts

    def _edge(self, number: int) -> str:
        edge = self.drawing.edges[number]
        name = escape(f"{_printable(edge.src)} → {_printable(edge.dst)}")
        return (
            f'<path class="edge" d="{self._path(self.drawing.route(number))}" marker-end="url(#arrow)">'
            f"<title>{name}</title></path>"
        )

    def _path(self, route: Route) -> str:
        out: list[str] = []
        last = (0.0, 0.0)

        def add(command: str, *points: tuple[float, float]) -> None:
            out.append(command + " ".join(f"{_num(x)} {_num(y)}" for x, y in (self.point(*p) for p in points)))

        for step, (cross, begin, end) in enumerate(route):
            if step == 0:
                add("M", (cross, begin))
            elif abs(cross - last[0]) > 0.3:
                half = (begin - last[1]) / 2
                if half:
                    add("C", (last[0], last[1] + half), (cross, begin - half), (cross, begin))
                else:  # a loop turns outside the box, below it first and then above it
                    turn = begin + (LOOP_TURN if step == 1 else -LOOP_TURN)
                    add("C", (last[0], turn), (cross, turn), (cross, begin))
            if end != begin or step + 1 == len(route):
                straight_on = step + 1 < len(route) and abs(route[step + 1][0] - cross) <= 0.3
                if not straight_on:
                    add("L", (cross, end))
            last = (cross, end)
        return "".join(out)

    def _edge_label(self, number: int) -> list[str]:
        edge = self.drawing.edges[number]
        if not edge.label:
            return []
        route = self.drawing.crossing(number)
        # the curve (or straight piece) before the last run: nearest to the end the label speaks of
        before, after = route[-2], route[-1]
        if edge.src == edge.dst:
            x, y = self.point(before[0], (before[1] + before[2]) / 2)
        else:
            x, y = self.point((before[0] + after[0]) / 2, (before[2] + after[1]) / 2)
        text = _clip(edge.label)
        width = text_width(text, LABEL_SIZE) + 8
        left = _num(x - width / 2)
        return [
            f'<rect class="halo" x="{left}" y="{_num(y - 8)}" width="{_num(width)}" height="16" rx="4"/>',
            f'<text class="label" x="{_num(x)}" y="{_num(y + 3.8)}" text-anchor="middle">{escape(text)}</text>',
        ]

    def _node(self, node: DrawNode) -> str:
        x, y = self.point(*self.drawing.places[node.id])
        width, height = self.drawing.size[node.id]
        middle = x + width / 2
        box = f'x="{_num(x)}" y="{_num(y)}" width="{_num(width)}" height="{_num(height)}" rx="7"'
        tip = "\n".join([node.title] + [line.replace("\t", ": ") for line in node.lines])
        parts = [f'<g class="node {_colour_name(node.kind)}"><title>{escape(_printable(tip, keep=chr(10)))}</title>']
        if node.lines:
            top = HEADER_HEIGHT
            parts.append(f'<rect class="card" {box}/>')
            parts.append(
                f'<path class="top" d="M{_num(x)} {_num(y + top)}v{_num(7 - top)}a7 7 0 0 1 7 -7h{_num(width - 14)}'
                f'a7 7 0 0 1 7 7v{_num(top - 7)}z"/>'
            )
        else:
            parts.append(f'<rect class="top" {box}/>')
        parts.append(f'<rect class="rim" {box}/>')
        title_y = y + (HEADER_HEIGHT if node.lines else height) / 2 + TITLE_SIZE * 0.36
        parts.append(
            f'<text class="title" x="{_num(middle)}" y="{_num(title_y)}" text-anchor="middle">'
            f"{escape(_clip(node.title))}</text>"
        )
        for row, line in enumerate(node.lines):
            base = y + HEADER_HEIGHT + BODY_PAD + row * LINE_HEIGHT + LINE_SIZE
            label, tab, value = _clip_line(line).partition("\t")
            if tab:
                parts.append(f'<text class="name" x="{_num(x + PAD_X - 2)}" y="{_num(base)}">{escape(label)}</text>')
                parts.append(
                    f'<text class="line" x="{_num(x + width - PAD_X + 2)}" y="{_num(base)}" text-anchor="end">'
                    f"{escape(value)}</text>"
                )
            else:
                centre = f'x="{_num(middle)}" y="{_num(base)}" text-anchor="middle"'
                parts.append(f'<text class="line" {centre}>{escape(label)}</text>')
        parts.append("</g>")
        return "\n".join(parts)


def _num(value: float) -> str:
    """At most one decimal; no minus zero."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def _printable(text: str, keep: str = "") -> str:
    """XML 1.0 allows no control characters, not even escaped."""
    return "".join(char if char.isprintable() or char in keep else " " for char in text)


def _colour_name(kind: str) -> str:
    return _KIND_COLOUR.get(kind, "gray")


def _check(nodes: Sequence[DrawNode], edges: Sequence[DrawEdge], clusters: Sequence[Cluster], rankdir: str) -> None:
    if rankdir not in ("TB", "LR"):
        raise InvalidArgumentError(
            f"unknown rankdir {rankdir!r}", needed="'TB' (top to bottom) or 'LR' (left to right)"
        )
    known = _unique((node.id for node in nodes), "two nodes have the id")
    for edge in edges:
        for name in (edge.src, edge.dst):
            if name not in known:
                raise InvalidArgumentError(f"the edge {edge.src!r} -> {edge.dst!r} names no node {name!r}")
    for name in _unique((name for cluster in clusters for name in _members(cluster)), "two clusters hold the node"):
        if name not in known:
            raise InvalidArgumentError(f"a cluster names no node {name!r}")


def _unique(names: Iterable[str], complaint: str) -> dict[str, None]:
    seen: dict[str, None] = {}
    for name in names:
        if name in seen:
            raise InvalidArgumentError(f"{complaint} {name!r}")
        seen[name] = None
    return seen


# ------------------------------------------------------------------------------------------------------- DOT text


def dot_text(
    nodes: Sequence[DrawNode],
    edges: Sequence[DrawEdge],
    *,
    rankdir: str = "TB",
    clusters: Sequence[Cluster] = (),
    title: str = "",
) -> str:
    """Return the same graph as source for Graphviz; takes what `layered_svg` takes.

    Raises:
        InvalidArgumentError: as for `layered_svg`.
    """
    _check(nodes, edges, clusters, rankdir)
    by_id = {node.id: node for node in nodes}
    lines = [f"digraph {_quote(title or 'graph')} {{", f"  rankdir={rankdir};"]
    if title:
        lines.append(f"  label={_quote(title)}; labelloc=t;")
    lines.append('  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];')
    lines.append('  edge [color="#8792a0", fontname="Helvetica", fontsize=10];')
    number = 0

    def add(name: str, indent: str) -> None:
        node = by_id[name]
        colour = _COLOURS[_colour_name(node.kind)]
        label = "\n".join([node.title] + [line.replace("\t", ": ") for line in node.lines])
        paint = f"fillcolor={_quote(colour.head)}, color={_quote(colour.line)}"
        lines.append(f"{indent}{_quote(name)} [label={_quote(label)}, {paint}];")

    def add_cluster(cluster: Cluster, indent: str) -> None:
        nonlocal number
        lines.append(f"{indent}subgraph cluster_{number} {{")
        number += 1
        lines.append(f'{indent}  label={_quote(cluster.title)}; style="rounded,dashed"; color="#c3cad3";')
        for name in cluster.nodes:
            add(name, indent + "  ")
        for inner in cluster.clusters:
            add_cluster(inner, indent + "  ")
        lines.append(f"{indent}}}")

    framed = {name for cluster in clusters for name in _members(cluster)}
    for node in nodes:
        if node.id not in framed:
            add(node.id, "  ")
    for cluster in clusters:
        add_cluster(cluster, "  ")
    for edge in edges:
        label = f" [label={_quote(edge.label)}]" if edge.label else ""
        lines.append(f"  {_quote(edge.src)} -> {_quote(edge.dst)}{label};")
    return "\n".join(lines) + "\n}\n"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
