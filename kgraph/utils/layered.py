"""Layered layout of one directed graph of boxes: where they stand and which way the edges take.

After Sugiyama, Tagawa, Toda (1981), "Methods for visual understanding of hierarchical system structures": cycles are
reversed, layers follow from longest paths, long edges get dummy vertices, barycentre sweeps reduce crossings, and then
coordinates are given.  Vertices that should stand in one line (the spine of a network, the inner part of a long edge)
are joined to blocks as in Brandes and Köpf (2001), "Fast and simple horizontal coordinate assignment"; the blocks move
to the weighted mean of their neighbours.

The module speaks of "cross" (x when drawn from top to bottom) and "along" (y), in px, and knows no text, colour or
frame.  The result depends on the arguments only: sets and addresses of objects decide nothing.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

__all__ = ["SPREAD", "Box", "Level", "Link", "Route"]

GAP_NODES, GAP_MIXED, GAP_DUMMIES = 34.0, 24.0, 16.0  # least distance of neighbours in a layer: boxes, edges
GAP_LAYERS = 34.0  # least distance of two layers
SPREAD = 14.0  # distance of parallel edges


@dataclass
class Box:
    """What one level has to place: a node, a whole cluster, or a port in its frame."""

    width: float  # cross
    height: float  # along
    port: Literal["", "in", "out"] = ""
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True)
class Link:
    """An edge within a level: box numbers, and where it touches them, measured from the left side of the box."""

    src: int
    dst: int
    src_at: float
    dst_at: float
    label: str


# A route: parts parallel to the flow, (cross, along at start, along at end); curves join them.
Route = list[tuple[float, float, float]]


@dataclass
class _Vertex:
    number: int
    width: float
    height: float
    box: int = -1  # -1: dummy
    layer: int = 0
    place: int = 0
    block: int = -1
    shift: float = 0.0  # of the centre, from the origin of the block
    cross: float = 0.0  # of the centre
    loop: float = 0.0  # room for loops at the right side
    up: list[_Segment] = field(default_factory=list)
    down: list[_Segment] = field(default_factory=list)

    @property
    def real(self) -> bool:
        return self.box >= 0


@dataclass
class _Segment:
    """Part of an edge between two neighbouring layers; `*_at` is measured from the centre of the vertex."""

    upper: _Vertex
    lower: _Vertex
    upper_at: float
    lower_at: float

    @property
    def weight(self) -> float:
        return 2.0 if self.upper.real and self.lower.real else 1.0


class Level:
    """Places boxes and routes links: `run` fills `left` and `top` of the boxes and returns one route per link."""

    def __init__(self, boxes: list[Box], links: list[Link], *, begin_gap: float, end_gap: float) -> None:
        self.boxes, self.links, self.begin_gap, self.end_gap = boxes, links, begin_gap, end_gap
        self.vertices = [_Vertex(i, box.width, box.height, i) for i, box in enumerate(boxes)]
        self.layers: list[list[_Vertex]] = []
        self.chains: list[list[_Segment]] = [[] for _ in links]
        self.reversed = self._back_links()
        self.width = self.height = 0.0

    def run(self) -> list[Route]:
        """Place the boxes and return the routes of the links, in their order."""
        self._assign_layers()
        self._make_segments()
        self._order()
        self._join_blocks()
        self._place_blocks()
        return self._finish()

    # -- cycles and layers

    def _ends(self, index: int) -> tuple[int, int]:
        """Upper and lower box of a link."""
        link = self.links[index]
        return (link.dst, link.src) if index in self.reversed else (link.src, link.dst)

    def _back_links(self) -> set[int]:
        """Links that close a cycle in a depth-first walk in the given order."""
        out: list[list[int]] = [[] for _ in self.boxes]
        for index, link in enumerate(self.links):
            out[link.src].append(index)
        state = [0] * len(self.boxes)  # 0 new, 1 on the path, 2 done
        back: set[int] = set()
        for root in range(len(self.boxes)):
            if state[root]:
                continue
            state[root] = 1
            stack: list[tuple[int, Iterator[int]]] = [(root, iter(out[root]))]
            while stack:
                box, rest = stack[-1]
                for index in rest:
                    target = self.links[index].dst
                    if state[target] == 1:
                        if target != box:
                            back.add(index)
                    elif state[target] == 0:
                        state[target] = 1
                        stack.append((target, iter(out[target])))
                        break
                else:
                    state[box] = 2
                    stack.pop()
        return back

    def _assign_layers(self) -> None:
        below: list[list[int]] = [[] for _ in self.boxes]
        above: list[list[int]] = [[] for _ in self.boxes]
        for index, link in enumerate(self.links):
            if link.src == link.dst:
                self.vertices[link.src].loop += SPREAD
                continue
            upper, lower = self._ends(index)
            below[upper].append(lower)
            above[lower].append(upper)
        waiting = [len(up) for up in above]
        order = [box for box, count in enumerate(waiting) if count == 0]
        for box in order:
            for lower in below[box]:
                waiting[lower] -= 1
                if waiting[lower] == 0:
                    order.append(lower)
        layer = [0] * len(self.boxes)
        first = 1 if any(box.port == "in" for box in self.boxes) else 0
        for box in order:
            if self.boxes[box].port != "in":
                layer[box] = max([first] + [layer[upper] + 1 for upper in above[box]])
        # A box with more ends below than above (an input, above all) moves down to where it is used.
        for box in reversed(order):
            if below[box] and len(below[box]) > len(above[box]) and not self.boxes[box].port:
                layer[box] = min(layer[lower] for lower in below[box]) - 1
        last = 1 + max((layer[i] for i, box in enumerate(self.boxes) if box.port != "out"), default=0)
        for number, vertex in enumerate(self.vertices):
            vertex.layer = last if self.boxes[number].port == "out" else layer[number]
        used = sorted({vertex.layer for vertex in self.vertices})
        dense = {old: new for new, old in enumerate(used)}
        for vertex in self.vertices:
            vertex.layer = dense[vertex.layer]
        self.layers = [[] for _ in used]

    def _make_segments(self) -> None:
        for index, link in enumerate(self.links):
            if link.src == link.dst:
                continue
            src_at = link.src_at - self.boxes[link.src].width / 2
            dst_at = link.dst_at - self.boxes[link.dst].width / 2
            upper_box, lower_box = self._ends(index)
            at, end_at = src_at, dst_at
            if index in self.reversed:  # beside the arrows that run with the flow
                at, end_at = dst_at + SPREAD, src_at + SPREAD
            upper, lower = self.vertices[upper_box], self.vertices[lower_box]
            while upper is not lower:
                if upper.layer + 1 == lower.layer:
                    target, target_at = lower, end_at
                else:
                    target, target_at = _Vertex(len(self.vertices), 2.0, 0.0), 0.0
                    target.layer = upper.layer + 1
                    self.vertices.append(target)
                segment = _Segment(upper, target, at, target_at)
                self.chains[index].append(segment)
                upper.down.append(segment)
                target.up.append(segment)
                upper, at = target, target_at

    # -- order within the layers

    def _order(self) -> None:
        seen: set[int] = set()
        for start in self.vertices:  # depth first: what belongs together starts side by side
            stack = [start]
            while stack:
                vertex = stack.pop()
                if vertex.number in seen or (
                    vertex is not start and any(s.upper.number not in seen for s in vertex.up)
                ):
                    continue
                if vertex is start and vertex.up:
                    continue
                seen.add(vertex.number)
                self.layers[vertex.layer].append(vertex)
                stack.extend(segment.lower for segment in reversed(vertex.down))
        self._number()
        best, least = self._snapshot(), self._crossings()
        for sweep in range(24):
            if least == 0:
                break
            downward = sweep % 2 == 0
            for layer in self.layers if downward else self.layers[::-1]:
                self._sort_layer(layer, downward, ties_flip=sweep % 4 >= 2)
            if sweep % 2:
                self._exchange()
            count = self._crossings()
            if count < least:
                best, least = self._snapshot(), count
        for layer, members in zip(self.layers, best):
            layer[:] = members
        self._number()

    def _number(self) -> None:
        for layer in self.layers:
            for place, vertex in enumerate(layer):
                vertex.place = place

    def _snapshot(self) -> list[list[_Vertex]]:
        return [list(layer) for layer in self.layers]

    @staticmethod
    def _key(vertex: _Vertex, at: float) -> float:
        """Place of an end of a segment: the place of its vertex, and within that where the port is."""
        return vertex.place + 0.9 * at / max(vertex.width, 1.0)

    def _sort_layer(self, layer: list[_Vertex], downward: bool, ties_flip: bool) -> None:
        def centre(vertex: _Vertex) -> float:
            if downward:
                keys = [self._key(s.upper, s.upper_at) - 0.01 * s.lower_at / max(vertex.width, 1.0) for s in vertex.up]
            else:
                keys = [
                    self._key(s.lower, s.lower_at) - 0.01 * s.upper_at / max(vertex.width, 1.0) for s in vertex.down
                ]
            return sum(keys) / len(keys) if keys else float(vertex.place)

        keyed = [(centre(vertex), -vertex.place if ties_flip else vertex.place, vertex) for vertex in layer]
        keyed.sort(key=lambda item: item[:2])
        layer[:] = [vertex for _, _, vertex in keyed]
        for place, vertex in enumerate(layer):
            vertex.place = place

    def _crossings(self) -> int:
        total = 0
        for layer in self.layers:
            ends = sorted(
                (self._key(s.upper, s.upper_at), self._key(s.lower, s.lower_at))
                for vertex in layer
                for s in vertex.down
            )
            seen: list[float] = []
            for _, lower in ends:
                total += len(seen) - bisect_right(seen, lower)
                insort(seen, lower)
        return total

    def _exchange(self) -> None:
        """Exchange neighbours in a layer while that removes crossings."""

        def cost(left: list[float], right: list[float]) -> int:
            return sum(1 for a in left for b in right if a > b)

        for _ in range(4):
            changed = False
            for layer in self.layers:
                for place in range(len(layer) - 1):
                    a, b = layer[place], layer[place + 1]
                    ups = [[self._key(s.upper, s.upper_at) for s in vertex.up] for vertex in (a, b)]
                    downs = [[self._key(s.lower, s.lower_at) for s in vertex.down] for vertex in (a, b)]
                    now = cost(ups[0], ups[1]) + cost(downs[0], downs[1])
                    then = cost(ups[1], ups[0]) + cost(downs[1], downs[0])
                    if then < now:
                        layer[place], layer[place + 1] = b, a
                        a.place, b.place = place + 1, place
                        changed = True
            if not changed:
                break

    # -- coordinates across the flow

    def _run_length(self, vertex: _Vertex, downward: bool) -> int:
        """Number of boxes in the unbranched chain that starts here."""
        length = 1
        while True:
            ahead = vertex.down if downward else vertex.up
            if len(ahead) != 1:
                return length
            vertex = ahead[0].lower if downward else ahead[0].upper
            if not vertex.real or len(vertex.up if downward else vertex.down) != 1:
                return length
            length += 1

    def _preferred(self, vertex: _Vertex, downward: bool) -> _Segment | None:
        """The segment that `vertex` would have straight: to the middle neighbour, boxes before passing edges."""
        segments = vertex.down if downward else vertex.up

        def far(segment: _Segment) -> _Vertex:
            return segment.lower if downward else segment.upper

        candidates = [segment for segment in segments if far(segment).real] or list(segments)
        candidates.sort(key=lambda s: self._key(far(s), s.lower_at if downward else s.upper_at))
        if len(candidates) == 2:
            lengths = [self._run_length(far(segment), downward) for segment in candidates]
            if lengths[0] != lengths[1]:
                return candidates[lengths[1] > lengths[0]]
        return candidates[len(candidates) // 2] if len(candidates) % 2 else None

    def _join_blocks(self) -> None:
        ranked: list[tuple[int, int, _Segment]] = []
        for layer in self.layers:
            for vertex in layer:
                for segment in vertex.down:
                    if not segment.upper.real and not segment.lower.real:
                        rank = 0
                    elif self._preferred(vertex, True) is segment and self._preferred(segment.lower, False) is segment:
                        rank = 1 if segment.upper.real and segment.lower.real else 2
                    else:
                        continue
                    ranked.append((rank, len(ranked), segment))
        ranked.sort(key=lambda item: item[:2])
        straight: dict[int, _Segment] = {}  # by upper vertex
        by_layer: list[list[_Segment]] = [[] for _ in self.layers]
        for _, _, segment in ranked:
            accepted = by_layer[segment.upper.layer]
            up, low = segment.upper.place, segment.lower.place
            if all((up - other.upper.place) * (low - other.lower.place) > 0 for other in accepted):
                accepted.append(segment)
                straight[segment.upper.number] = segment
        self.blocks: list[list[_Vertex]] = []
        for layer in self.layers:
            for vertex in layer:
                if vertex.block < 0:
                    vertex.block = len(self.blocks)
                    self.blocks.append([vertex])
                tie = straight.get(vertex.number)
                if tie is not None:
                    tie.lower.block = vertex.block
                    tie.lower.shift = vertex.shift + tie.upper_at - tie.lower_at
                    self.blocks[vertex.block].append(tie.lower)

    def _place_blocks(self) -> None:
        count = len(self.blocks)
        least: list[dict[int, float]] = [{} for _ in range(count)]  # right neighbour -> least distance of origins
        before: list[dict[int, float]] = [{} for _ in range(count)]
        for layer in self.layers:
            for a, b in pairwise(layer):
                gap = GAP_NODES if a.real and b.real else GAP_MIXED if a.real or b.real else GAP_DUMMIES
                distance = a.width / 2 + a.loop + gap + b.width / 2 + a.shift - b.shift
                if distance > least[a.block].get(b.block, float("-inf")):
                    least[a.block][b.block] = before[b.block][a.block] = distance
        pulls: list[list[tuple[int, float, float]]] = [[] for _ in range(count)]  # (other, wanted offset, weight)
        for vertex in self.vertices:
            for s in vertex.down:
                above, below = s.upper.block, s.lower.block
                if above != below:
                    offset = s.upper.shift + s.upper_at - s.lower.shift - s.lower_at
                    pulls[above].append((below, -offset, s.weight))
                    pulls[below].append((above, offset, s.weight))
        waiting = [len(left) for left in before]
        order = [block for block in range(count) if waiting[block] == 0]
        at = [0.0] * count
        for block in order:
            at[block] = max([0.0] + [at[left] + distance for left, distance in before[block].items()])
            for right in least[block]:
                waiting[right] -= 1
                if waiting[right] == 0:
                    order.append(right)

        def room(block: int) -> tuple[float, float]:
            low = max([at[left] + distance for left, distance in before[block].items()], default=float("-inf"))
            high = min([at[right] - distance for right, distance in least[block].items()], default=float("inf"))
            return low, high

        for _ in range(120):
            moved = 0.0
            for block in order[::-1] + order:
                weight = sum(pull[2] for pull in pulls[block])
                if weight:
                    wanted = sum((at[other] + offset) * w for other, offset, w in pulls[block]) / weight
                    low, high = room(block)
                    wanted = max(low, min(high, wanted))
                    moved = max(moved, abs(wanted - at[block]))
                    at[block] = wanted
            moved = max(moved, self._move_groups(at, order, least, before, pulls))
            if moved < 0.05:
                break
        for vertex in self.vertices:
            vertex.cross = at[vertex.block] + vertex.shift

    @staticmethod
    def _move_groups(
        at: list[float],
        order: list[int],
        least: list[dict[int, float]],
        before: list[dict[int, float]],
        pulls: list[list[tuple[int, float, float]]],
    ) -> float:
        """Move blocks that touch each other together, which no single one of them could do."""
        group = list(range(len(at)))

        def find(block: int) -> int:
            while group[block] != block:
                group[block] = group[group[block]]
                block = group[block]
            return block

        for block in order:
            for right, distance in least[block].items():
                if at[right] - at[block] - distance < 0.01:
                    group[find(right)] = find(block)
        members: dict[int, list[int]] = {}
        for block in order:
            members.setdefault(find(block), []).append(block)
        moved = 0.0
        for root, blocks in members.items():
            if len(blocks) == 1:
                continue
            weight = force = 0.0
            low, high = float("-inf"), float("inf")
            for block in blocks:
                for other, offset, w in pulls[block]:
                    if find(other) != root:
                        weight += w
                        force += w * (at[other] + offset - at[block])
                for left, distance in before[block].items():
                    if find(left) != root:
                        low = max(low, at[left] + distance - at[block])
                for right, distance in least[block].items():
                    if find(right) != root:
                        high = min(high, at[right] - distance - at[block])
            if weight:
                delta = max(min(low, 0.0), min(max(high, 0.0), force / weight))
                moved = max(moved, abs(delta))
                for block in blocks:
                    at[block] += delta
        return moved

    # -- coordinates along the flow, and routes

    def _finish(self) -> list[Route]:
        left = min((v.cross - v.width / 2 for v in self.vertices), default=0.0)
        for vertex in self.vertices:
            vertex.cross = round(vertex.cross - left)
        self.width = max((v.cross + v.width / 2 + v.loop for v in self.vertices), default=0.0)
        tops, bottoms = self._layer_extents()
        for vertex in self.vertices:
            if vertex.real:
                box = self.boxes[vertex.box]
                box.left = vertex.cross - vertex.width / 2
                middle = (tops[vertex.layer] + bottoms[vertex.layer]) / 2
                box.top = middle - vertex.height / 2
        routes: list[Route] = []
        loops = [0] * len(self.boxes)
        for index, link in enumerate(self.links):
            if link.src == link.dst:
                loops[link.src] += 1
                routes.append(self._loop(link, loops[link.src]))
            else:
                route = self._route(self.chains[index], tops, bottoms)
                routes.append([(x, b, a) for x, a, b in reversed(route)] if index in self.reversed else route)
        return routes

    def _layer_extents(self) -> tuple[list[float], list[float]]:
        tops: list[float] = []
        bottoms: list[float] = []
        along = 0.0
        labelled = {
            id(segment) for index, link in enumerate(self.links) if link.label for segment in self.chains[index]
        }
        for number, layer in enumerate(self.layers):
            tops.append(along)
            along += max((vertex.height for vertex in layer), default=0.0)
            bottoms.append(along)
            if number + 1 == len(self.layers):
                break
            if any(v.real and self.boxes[v.box].port == "in" for v in layer):
                along += self.begin_gap
            elif any(v.real and self.boxes[v.box].port == "out" for v in self.layers[number + 1]):
                along += self.end_gap
            else:
                segments = [segment for vertex in layer for segment in vertex.down]
                bend = max(
                    (abs(s.upper.cross + s.upper_at - s.lower.cross - s.lower_at) for s in segments), default=0.0
                )
                along += (
                    GAP_LAYERS + min(40.0, bend // 10) + (12.0 if any(id(s) in labelled for s in segments) else 0.0)
                )
        self.height = along
        return tops, bottoms

    def _route(self, chain: list[_Segment], tops: list[float], bottoms: list[float]) -> Route:
        first, last = chain[0], chain[-1]
        box = self.boxes[first.upper.box]
        route: Route = [(first.upper.cross + first.upper_at, box.top + box.height, bottoms[first.upper.layer])]
        for segment in chain[:-1]:
            dummy = segment.lower
            route.append((dummy.cross, tops[dummy.layer], bottoms[dummy.layer]))
        end = self.boxes[last.lower.box]
        route.append((last.lower.cross + last.lower_at, tops[last.lower.layer], end.top))
        return route

    def _loop(self, link: Link, number: int) -> Route:
        """From the lower side round the right one to the upper side."""
        box = self.boxes[link.src]
        side, start = box.left + box.width + number * SPREAD - 2.0, box.left + box.width - SPREAD
        bottom = box.top + box.height
        return [(start, bottom, bottom), (side, bottom, box.top), (start, box.top, box.top)]
