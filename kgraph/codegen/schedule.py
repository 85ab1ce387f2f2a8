"""From a graph to a schedule: a graph whose nodes are kernels.

Each node of the result is a `kernel` with a region (what it computes), a `scan` whose body is scheduled likewise, or
a `reshape` that costs nothing.  So a schedule prints, parses and runs on the interpreter like any other graph.  Which
nodes share a kernel is decided in `fusion`; here only what other kernels read is stored, and values that are cheap to
compute from what is in memory anyway are computed again in each reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgraph.codegen.fusion import GATHERING, KEPT, Cluster, Fusion, leaves
from kgraph.codegen.normalise import in_tile_operands, is_alias, is_anchor, is_inline, memory_operands, normalise
from kgraph.ir.builder import make_node
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Graph, Location, Node, Value, clone_graph, clone_node
from kgraph.ir.opdef import ELEMENTWISE, get_op
from kgraph.ir.types import itemsize

__all__ = ["Boundary", "ScheduleResult", "explain_boundaries", "schedule_graph"]

_CHEAP = frozenset(
    "neg abs sign add sub mul maximum minimum gt ge lt le eq ne logical_and logical_or logical_xor logical_not"
    " select relu cast is_nan is_finite stop_gradient".split()
)
MAX_RECOMPUTED_NODES = 6
MAX_IN_TILE_NODES = 24


@dataclass(frozen=True)
class Boundary:
    """Why a value is stored between two kernels instead of being fused."""

    value: str
    bytes: DimLike
    producer: str
    consumer: str
    reason: str


def explain_boundaries(boundaries: Sequence[Boundary]) -> str:
    """One paragraph per pair of kernels: what is stored between them, how much, and why it was not fused."""
    pairs: dict[tuple[str, str], dict[str, list[Boundary]]] = {}
    for boundary in boundaries:
        reasons = pairs.setdefault((boundary.producer, boundary.consumer), {})
        reasons.setdefault(boundary.reason, []).append(boundary)
    lines: list[str] = []
    for (producer, consumer), reasons in pairs.items():
        lines.append(f"{producer} -> {consumer or 'result of the program'}")
        for reason, group in reasons.items():
            values = list(dict.fromkeys(each.value for each in group))
            total: DimLike = 0
            for each in group:
                total = total + each.bytes
            lines.append(f"    {', '.join(values)} ({len(group)} stored, {total} bytes): {reason}")
    return "\n".join(lines)


@dataclass
class ScheduleResult:
    """The scheduled graph and the list of fusion boundaries."""

    graph: Graph
    boundaries: list[Boundary]


def schedule_graph(graph: Graph) -> ScheduleResult:
    """Schedule a graph (optimised, composites decomposed); the argument is left as it is."""
    work = clone_graph(graph, {}, graph.name)
    normalise(work)
    return _schedule(work)


def _schedule(work: Graph) -> ScheduleResult:
    fusion = Fusion(work)
    fusion.assign()
    emission = _Emission(work, fusion)
    return ScheduleResult(emission.build(), emission.boundaries)


class _Emission:
    """Builds the schedule graph from the clusters, last kernel first, so that only what is read gets stored."""

    def __init__(self, graph: Graph, fusion: Fusion) -> None:
        self.graph, self.fusion = graph, fusion
        self.stored: dict[Value, None] = {}  # values of clusters that must be in memory
        self.boundaries: list[Boundary] = []
        self.names: dict[int, str] = {}
        self.crossings: list[tuple[Value, Cluster, Cluster | None, str]] = []
        self.recomputed = self._recomputed_values()
        self.in_tile = {cluster.index: _in_tile_values(cluster) for cluster in fusion.clusters}

    def build(self) -> Graph:
        for value in self.graph.required():
            self._request(value, None, "it is a result of the program")
        bodies: dict[int, tuple[list[Value], list[Value], Graph]] = {}
        for cluster in reversed(self.fusion.clusters):
            if cluster.family == "scan":
                if any(value in self.stored for value in cluster.nodes[0].results):
                    for operand in cluster.nodes[0].operands:
                        self._request(operand, cluster, "a loop reads it at every step")
                continue
            outputs = [value for node in cluster.nodes for value in node.results if value in self.stored]
            if outputs:
                bodies[cluster.index] = self._region(cluster, outputs)
        graph = self._assemble(bodies)
        for value, producer, consumer, reason in reversed(self.crossings):
            volume = value.type.volume * itemsize(value.dtype)
            reader = "" if consumer is None else self.names[consumer.index]
            self.boundaries.append(Boundary(_label(value), volume, self.names[producer.index], reader, reason))
        return graph

    # -- what is stored -----------------------------------------------------------------------------------------------
    def _request(self, value: Value, consumer: Cluster | None, reason: str = "") -> None:
        """Note that `value` must be in memory, because of `consumer` (None: the program's result)."""
        if value.literal is not None or value in self.stored:
            return
        producer = value.producer
        if producer is not None and (is_alias(producer) or is_inline(producer)):
            for operand in producer.operands:
                self._request(operand, consumer, reason)
            return
        cluster = self.fusion.cluster_of.get(value)
        if cluster is None:
            return
        self.stored[value] = None
        reason = reason or self.fusion.reasons.get(value, "it is computed once, before the kernel that reads it")
        self.crossings.append((value, cluster, consumer, reason))

    def _recomputed_values(self) -> set[Value]:
        """Values read by other clusters that are cheaper to compute again than to store and load."""
        crossing: dict[Value, None] = {}
        for node in self.graph.nodes:
            for leaf, _ in leaves(node):
                owner = self.fusion.cluster_of.get(leaf)
                if owner is not None and any(self.fusion.cluster_of.get(v) is not owner for v in node.results):
                    crossing[leaf] = None
        for value in self.graph.required():
            crossing.setdefault(value)
        anchored = {
            value for node in self.graph.nodes if is_anchor(node) or is_alias(node) for value in memory_operands(node)
        }
        anchored.update(self.graph.required())
        anchored.update(
            leaf
            for node in self.graph.nodes
            for leaf, direct in leaves(node)
            if not direct or node.op.name in GATHERING
        )
        for value in self._shared_sources(crossing, anchored):
            crossing.setdefault(value)
        chosen: set[Value] = set()
        for value in crossing:
            if value not in anchored and self._blockers(value, crossing, chosen) == []:
                chosen.add(value)
        return chosen

    def _shared_sources(self, crossing: dict[Value, None], anchored: set[Value]) -> list[Value]:
        """Costly values that are not read by other kernels themselves, but from which two or more cheap ones that are
        could be computed again: storing the one saves storing the many.
        """
        served: dict[Value, int] = {}
        for value in crossing:
            blockers = None if value in anchored else self._blockers(value, crossing, set(crossing))
            for blocker in blockers or ():
                if blocker is not value:
                    served[blocker] = served.get(blocker, 0) + 1
        return [value for value, count in served.items() if count >= 2]

    def _blockers(self, value: Value, crossing: dict[Value, None], again: set[Value]) -> list[Value] | None:
        """The costly values that keep `value` from being computed again in its readers; None: nothing would help.

        Args:
            value: a value that other kernels read.
            crossing: all such values.
            again: those of them that are computed again rather than stored.
        """
        cluster = self.fusion.cluster_of[value]
        if cluster.family == "scan" or cluster.status[value] == KEPT:
            return None
        found: list[Value] = []
        count = 0
        seen: set[Value] = set()
        stack = [value]
        while stack:
            current = stack.pop()
            stored = current in crossing and current not in again
            if current in seen or (
                current is not value and (stored or self.fusion.cluster_of.get(current) is not cluster)
            ):
                continue
            seen.add(current)
            count += 1
            producer = current.producer
            if producer is None or count > MAX_RECOMPUTED_NODES:
                return None
            # A single number costs nothing beside a loop, whatever op it is.
            if producer.op.name in _CHEAP or (producer.results[0].shape == () and ELEMENTWISE in producer.op.traits):
                stack.extend(leaf for leaf, _ in leaves(producer))
            else:
                found.append(current)
        return found

    # -- regions ------------------------------------------------------------------------------------------------------
    def _region(self, cluster: Cluster, outputs: list[Value]) -> tuple[list[Value], list[Value], Graph]:
        region = Graph("body")
        region.symbols = dict(self.graph.symbols)
        operands: list[Value] = []
        mapping: dict[Value, Value] = {}

        def pull(value: Value) -> None:
            """Make `value` available in the region: by computing it there or as an operand."""
            todo = [value]
            while todo:
                current = todo[-1]
                if current in mapping or current.literal is not None:
                    todo.pop()
                    continue
                producer = current.producer
                if not self._computed_inside(current, cluster):
                    mapping[current] = region.add_input("", current.type)
                    operands.append(current)
                    direct = any(current in memory_operands(node) for node in cluster.nodes if is_anchor(node))
                    memory = f"a {cluster.family} kernel takes its operands from memory, block by block"
                    self._request(current, cluster, memory if direct else "")
                    todo.pop()
                    continue
                assert producer is not None
                waiting = [v for v in producer.operands if v not in mapping and v.literal is None]
                if waiting:
                    todo.extend(reversed(waiting))
                    continue
                region.nodes.append(clone_node(producer, mapping))
                todo.pop()

        for node in cluster.nodes:  # anchors first and in program order, so that a region reads like the graph
            if any(value in self.stored for value in node.results):
                for value in node.results:
                    pull(value)
        region.outputs = [mapping[value] for value in outputs]
        region.remove_dead()
        return operands, outputs, region

    def _computed_inside(self, value: Value, cluster: Cluster) -> bool:
        producer = value.producer
        if producer is None or is_alias(producer) or producer.op.name == "constant":
            return False
        if is_inline(producer) or self.fusion.cluster_of.get(value) is cluster:
            return True
        return value in self.recomputed or value in self.in_tile[cluster.index]

    # -- assembly -----------------------------------------------------------------------------------------------------
    def _assemble(self, bodies: dict[int, tuple[list[Value], list[Value], Graph]]) -> Graph:
        new = Graph(self.graph.name)
        new.symbols = dict(self.graph.symbols)
        new.attrs = {"stage": "schedule"}
        mapping: dict[Value, Value] = {}
        for value in self.graph.inputs:
            mapping[value] = new.add_input(value.name, value.type)
        for value in self.graph.params:
            mapping[value] = new.add_param(value.name, value.type)

        def external(value: Value) -> Value:
            if value.literal is None and value not in mapping:
                producer = value.producer
                assert producer is not None and (is_alias(producer) or producer.op.name == "constant")
                if is_alias(producer):
                    external(producer.operands[0])
                new.nodes.append(clone_node(producer, mapping))
            return mapping.get(value, value)

        taken: dict[str, int] = {}
        for cluster in self.fusion.clusters:
            if cluster.family == "scan" and any(v in self.stored for v in cluster.nodes[0].results):
                self.names[cluster.index] = _unique(_name_of(cluster), taken)
                self._add_scan(new, cluster.nodes[0], [external(v) for v in cluster.nodes[0].operands], mapping)
            elif cluster.index in bodies:
                operands, outputs, region = bodies[cluster.index]
                self.names[cluster.index] = _unique(_name_of(cluster, region), taken)
                attrs = {"family": cluster.family, "name": self.names[cluster.index]}
                loc = _location_of(cluster)
                kernel = make_node(get_op("kernel"), [external(v) for v in operands], attrs, loc, [region])
                new.nodes.append(kernel)
                mapping.update(zip(outputs, kernel.results, strict=True))
        new.outputs = [external(value) for value in self.graph.outputs]
        new.updates = [(mapping[param], external(value)) for param, value in self.graph.updates]
        return new

    def _add_scan(self, new: Graph, node: Node, operands: list[Value], mapping: dict[Value, Value]) -> None:
        body = clone_graph(node.regions[0], {}, node.regions[0].name)
        result = _schedule(body)
        self.boundaries.extend(result.boundaries)
        scan = make_node(node.op, operands, node.attrs, node.loc, [result.graph])
        new.nodes.append(scan)
        mapping.update(zip(node.results, scan.results, strict=True))


def _in_tile_values(cluster: Cluster) -> set[Value]:
    """What the anchor of a cluster computes itself, tile by tile, rather than finding it in memory."""
    found: set[Value] = set()
    stack = [value for node in cluster.nodes for value in in_tile_operands(node)]
    while stack and len(found) < MAX_IN_TILE_NODES:
        value = stack.pop()
        producer = value.producer
        if value.literal is not None or producer is None or value in found:
            continue
        if producer.op.name in _CHEAP or producer.op.name == "random_uniform":
            found.add(value)
        elif not is_inline(producer):
            continue
        stack.extend(producer.operands)
    return found


def _label(value: Value) -> str:
    producer = value.producer
    origin = f"{producer.op.name}" if producer is not None else (value.name or "value")
    return f"{origin}: {value.type}"


def _location_of(cluster: Cluster) -> Location:
    for node in cluster.nodes:
        if node.loc.layer:
            return node.loc
    return cluster.nodes[0].loc


def _name_of(cluster: Cluster, region: Graph | None = None) -> str:
    """`dense_1_matmul_add_relu`: the layer and the first few ops."""
    layer = _location_of(cluster).layer.rsplit("/", 1)[-1]
    nodes = region.nodes if region is not None else cluster.nodes
    ops = [node.op.name for node in nodes if node.op.name not in ("cast", "stop_gradient")] or ["copy"]
    words = [layer, *dict.fromkeys(ops[:4])] if layer else list(dict.fromkeys(ops[:4]))
    text = "_".join(words)
    return "".join(ch if ch.isalnum() or ch == "_" else "_" for ch in text)


def _unique(name: str, names: dict[str, int]) -> str:
    count = names.get(name, 0)
    names[name] = count + 1
    return name if not count else f"{name}_{count}"
