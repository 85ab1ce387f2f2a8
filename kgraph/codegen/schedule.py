"""Fusion: cut a normalised graph into kernels.

The result is again a graph: each node is a `kernel` with a region (what it computes), a `scan` whose body is
scheduled likewise, or a `reshape` that costs nothing.  So a schedule prints, parses and runs on the interpreter like
any other graph.

Nodes are visited once, in program order, and each joins the cluster that computed its latest operand, or the newest
cluster over the same domain, or opens one; clusters run in the order they were opened, so joining an older one is
legal exactly when every operand is older still.  That makes fusion linear in the size of the graph and needs no
search for cycles.  Values that are cheap to compute from what is in memory anyway are computed again in each reader
rather than stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kgraph.codegen.normalise import ANCHORS, is_alias, is_inline, normalise
from kgraph.ir.builder import make_node
from kgraph.ir.dims import DimLike, Shape, shape_text
from kgraph.ir.graph import Graph, Location, Node, Value, clone_graph, clone_node
from kgraph.ir.opdef import ELEMENTWISE, get_op
from kgraph.ir.types import itemsize

__all__ = ["Boundary", "ScheduleResult", "explain_boundaries", "schedule_graph"]

_REDUCTIONS = frozenset({"sum", "max", "min", "prod", "argmax", "argmin"})
# Element generators: one result element from indices or random bits, no full-size operand.
_GATHERING = frozenset({"gather", "pad", "max_pool", "sum_pool"})
_CHEAP = frozenset(
    "neg abs sign add sub mul maximum minimum gt ge lt le eq ne logical_and logical_or logical_xor logical_not"
    " select relu cast is_nan is_finite stop_gradient".split()
)
_EPILOGUE = frozenset({"gemm", "conv"})
_ANCHOR_FAMILY = {
    "matmul": "gemm",
    "conv2d": "conv",
    "conv2d_kernel_grad": "conv_wgrad",
    "max_pool_grad": "pool_grad",
    "scatter_add": "scatter",
    "cumsum": "cumsum",
    "concat": "concat",
    "scan": "scan",
}
FULL, KEPT = "full", "kept"
MAX_RECOMPUTED_NODES = 6
MAX_KERNEL_NODES = 96  # the compiler's time grows faster than the length of a function


@dataclass
class Cluster:
    """A kernel in the making.

    Attributes:
        index: place in the order of execution.
        family: gemm, conv, conv_wgrad, pool_grad, scatter, cumsum, concat, scan, map, rows or cols.
        domain: the shape that its elementwise work runs over.
        reduced: for rows and cols, the axes of the domain that are folded.
        status: value -> FULL (one element per point of the domain) or KEPT (one per point that remains after folding).
    """

    index: int
    family: str
    domain: Shape
    update: bool = False
    reduced: tuple[int, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    status: dict[Value, str] = field(default_factory=dict)

    def kept_shape(self) -> Shape:
        """The domain without its folded axes."""
        return tuple(dim for axis, dim in enumerate(self.domain) if axis not in self.reduced)


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
    fusion = _Fusion(work)
    fusion.assign()
    emission = _Emission(work, fusion)
    return ScheduleResult(emission.build(), emission.boundaries)


class _Fusion:
    """Assigns every node that is neither inline nor an alias to a cluster."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.clusters: list[Cluster] = []
        self.cluster_of: dict[Value, Cluster] = {}
        self.newest: dict[tuple[Shape, bool], Cluster] = {}
        self.reasons: dict[Value, str] = {}
        self.update_nodes = _update_section(graph)

    def assign(self) -> None:
        """Visit the nodes in program order."""
        # Numbers that depend on no kernel (1 / batch size, a loss weight) come first, whenever they are first written:
        # what uses them may then join early kernels.
        prelude = Cluster(0, "map", ())
        self.clusters.append(prelude)
        for node in self.graph.nodes:
            if is_inline(node) or is_alias(node) or node.op.name == "constant":
                continue
            if node.op.name in ANCHORS:
                self._open(node, _ANCHOR_FAMILY[node.op.name], node.results[0].shape)
            elif node.op.name in _REDUCTIONS:
                self._place_reduction(node)
            elif node.results[0].shape == () and node not in self.update_nodes and self._needs_only(node, prelude):
                self._join(node, prelude, FULL)
            else:
                self._place_elementwise(node)

    # -- placing ----------------------------------------------------------------------------------------------------
    def _place_elementwise(self, node: Node) -> None:
        shape, update = node.results[0].shape, node in self.update_nodes
        latest = self._latest(node)
        if latest is not None:
            status = self._fits(node, latest, update)
            if status:
                self._join(node, latest, status)
                return
        newest = self.newest.get((shape, update))
        if newest is not None and (latest is None or newest.index >= latest.index):
            status = self._fits(node, newest, update)
            if status:
                self._join(node, newest, status)
                return
        self._open(node, "map", shape, update)

    def _place_reduction(self, node: Node) -> None:
        source = node.operands[0]
        axes = _reduced_axes(node)
        family = "rows" if _trailing(axes, source.shape) else "cols"
        latest = self._latest(node)
        for cluster in (latest, self.newest.get((source.shape, False))):
            if cluster is None or (latest is not None and cluster.index < latest.index):
                continue
            if self._takes_reduction(cluster, node, axes, family):
                cluster.family, cluster.reduced = family, axes
                self._join(node, cluster, KEPT)
                return
        if latest is not None:
            self.reasons.setdefault(source, _why_reduction_apart(latest, family))
        cluster = self._open(node, family, source.shape)
        cluster.reduced = axes
        cluster.status[node.results[0]] = KEPT

    def _takes_reduction(self, cluster: Cluster, node: Node, axes: tuple[int, ...], family: str) -> bool:
        if cluster.domain != node.operands[0].shape or cluster.update or len(cluster.nodes) >= MAX_KERNEL_NODES:
            return False
        if cluster.family != "map" and (cluster.family, cluster.reduced) != (family, axes):
            return False
        if node.op.name in ("argmax", "argmin") and family != "rows":
            return False
        return self._operands_fit(node, cluster, FULL)

    def _open(self, node: Node, family: str, domain: Shape, update: bool = False) -> Cluster:
        cluster = Cluster(len(self.clusters), family, domain, update)
        self.clusters.append(cluster)
        self._join(node, cluster, FULL)
        if family in ("map", "rows", "cols"):
            self.newest[(domain, update)] = cluster
        return cluster

    def _join(self, node: Node, cluster: Cluster, status: str) -> None:
        cluster.nodes.append(node)
        for value in node.results:
            cluster.status[value] = status
            self.cluster_of[value] = cluster

    # -- legality ---------------------------------------------------------------------------------------------------
    def _latest(self, node: Node) -> Cluster | None:
        latest: Cluster | None = None
        for leaf, _ in _leaves(node):
            cluster = self.cluster_of.get(leaf)
            if cluster is not None and (latest is None or cluster.index > latest.index):
                latest = cluster
        return latest

    def _needs_only(self, node: Node, cluster: Cluster) -> bool:
        """Whether every operand comes from outside all kernels or from `cluster`."""
        latest = self._latest(node)
        return (latest is None or latest is cluster) and len(cluster.nodes) < MAX_KERNEL_NODES

    def _fits(self, node: Node, cluster: Cluster, update: bool) -> str | None:
        """FULL or KEPT when `node` can be computed inside `cluster`, else None with the reason noted."""
        shape = node.results[0].shape
        reason = self._refusal(node, cluster, update)
        if not reason:
            candidates = [FULL] if shape == cluster.domain else []
            if cluster.reduced and _is_kept(shape, cluster):
                candidates.append(KEPT)
            for status in candidates:
                if self._operands_fit(node, cluster, status):
                    return status
            reason = "it needs elements that the kernel has not finished"
            if not candidates:
                reason = f"its domain {shape_text(shape)} differs from the kernel's {shape_text(cluster.domain)}"
        for leaf, _ in _leaves(node):
            self.reasons.setdefault(leaf, reason)
        return None

    @staticmethod
    def _refusal(node: Node, cluster: Cluster, update: bool) -> str:
        """Why a kernel takes no such node, whatever its operands; empty when it does."""
        if len(cluster.nodes) >= MAX_KERNEL_NODES:
            return f"the kernel is full ({MAX_KERNEL_NODES} ops): longer ones compile out of proportion"
        if cluster.update != update:
            return "the optimizer's updates are kept apart: one compiled kernel serves all of a kind"
        if cluster.family not in ("map", "rows", "cols", *_EPILOGUE):
            return f"a {cluster.family} kernel takes no elementwise work after it"
        if cluster.family in _EPILOGUE and node.op.name in _GATHERING:
            return f"{node.op.name} reads other elements than its own"
        return ""

    def _operands_fit(self, node: Node, cluster: Cluster, status: str) -> bool:
        for leaf, direct in _leaves(node):
            owner = self.cluster_of.get(leaf)
            if owner is None or owner.index < cluster.index:
                continue
            if owner.index > cluster.index:
                return False
            have = cluster.status[leaf]
            if status == FULL and have == FULL:
                if not direct or leaf.shape != cluster.domain or node.op.name in _GATHERING:
                    return False
            elif status == FULL and have == KEPT:
                # A folded value is whole only once its row is done; columns are whole only after the last task.
                if cluster.family != "rows" or not self._broadcasts(node, leaf, cluster):
                    return False
            elif status == KEPT and have == FULL:
                return False
            elif _without_ones(leaf.shape) != _without_ones(cluster.kept_shape()):
                return False
        return True

    @staticmethod
    def _broadcasts(node: Node, leaf: Value, cluster: Cluster) -> bool:
        """Whether a per-row value reaches `node` with size 1 on the folded axes (so that it is the row's own)."""
        kept = tuple(1 if axis in cluster.reduced else dim for axis, dim in enumerate(cluster.domain))
        if _without_ones(kept) != _without_ones(leaf.shape) or all(cluster.domain[a] == 1 for a in cluster.reduced):
            return False
        for operand in node.operands:
            if leaf in {value for value, _ in _value_leaves(operand)} and operand.shape not in (kept, ()):
                lead = len(kept) - len(operand.shape)
                if operand.shape != cluster.domain and operand.shape != kept[lead:]:
                    return False
        return True


def _why_reduction_apart(cluster: Cluster, family: str) -> str:
    if cluster.family in _EPILOGUE:
        return f"the {family} reduction needs whole {family}, which no tile of the {cluster.family} kernel has"
    return f"the {family} reduction folds other axes than the {cluster.family} kernel"


def _reduced_axes(node: Node) -> tuple[int, ...]:
    if node.op.name in ("argmax", "argmin"):
        return (node.operands[0].type.rank - 1,)
    rank = node.operands[0].type.rank
    return tuple(axis % rank for axis in node.attrs["axes"])


def _trailing(axes: Sequence[int], shape: Shape) -> bool:
    return all(shape[axis] == 1 for axis in range(axes[-1] + 1, len(shape))) if axes else True


def _without_ones(shape: Shape) -> Shape:
    return tuple(dim for dim in shape if dim != 1)


def _is_kept(shape: Shape, cluster: Cluster) -> bool:
    kept = cluster.kept_shape()
    return _without_ones(shape) == _without_ones(kept)


def _update_section(graph: Graph) -> set[Node]:
    """Elementwise nodes that serve only the updates of params (the optimizer's and metrics' arithmetic)."""
    section: set[Node] = set()
    targets = {value for _, value in graph.updates}
    outputs = set(graph.outputs)
    for node in reversed(graph.nodes):
        if ELEMENTWISE not in node.op.traits and not is_inline(node):
            continue
        if any(value in outputs for value in node.results):
            continue
        users = [user for value in node.results for user in value.uses]
        wanted = any(value in targets for value in node.results)
        if (users or wanted) and all(user in section for user in users):
            section.add(node)
    return section


def _leaves(node: Node) -> Iterator[tuple[Value, bool]]:
    """The values outside inline views that `node` reads, each with whether it is read directly at its own index."""
    for operand in node.operands:
        yield from _value_leaves(operand)


def _value_leaves(value: Value, direct: bool = True) -> Iterator[tuple[Value, bool]]:
    producer = value.producer
    if value.literal is not None:
        return
    if producer is not None and is_inline(producer):
        same = producer.op.name in ("reshape", "broadcast_to") and direct
        for operand in producer.operands:
            yield from _value_leaves(operand, same and operand.shape == value.shape)
    elif producer is not None and is_alias(producer):
        yield from _value_leaves(producer.operands[0], False)
    else:
        yield value, direct


class _Emission:
    """Builds the schedule graph from the clusters, last kernel first, so that only what is read gets stored."""

    def __init__(self, graph: Graph, fusion: _Fusion) -> None:
        self.graph, self.fusion = graph, fusion
        self.stored: dict[Value, None] = {}  # values of clusters that must be in memory
        self.boundaries: list[Boundary] = []
        self.names: dict[int, str] = {}
        self.crossings: list[tuple[Value, Cluster, Cluster | None, str]] = []
        self.recomputed = self._recomputed_values()

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
        reason = reason or self.fusion.reasons.get(value, "another kernel reads it as well")
        self.crossings.append((value, cluster, consumer, reason))

    def _recomputed_values(self) -> set[Value]:
        """Values read by other clusters that are cheaper to compute again than to store and load."""
        crossing: dict[Value, None] = {}
        for node in self.graph.nodes:
            for leaf, _ in _leaves(node):
                owner = self.fusion.cluster_of.get(leaf)
                if owner is not None and any(self.fusion.cluster_of.get(v) is not owner for v in node.results):
                    crossing[leaf] = None
        for value in self.graph.required():
            crossing.setdefault(value)
        anchored = {
            value for node in self.graph.nodes if node.op.name in ANCHORS or is_alias(node) for value in node.operands
        }
        anchored.update(self.graph.required())
        anchored.update(
            leaf
            for node in self.graph.nodes
            for leaf, direct in _leaves(node)
            if not direct or node.op.name in _GATHERING
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
                stack.extend(leaf for leaf, _ in _leaves(producer))
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
                    direct = any(current in node.operands for node in cluster.nodes if node.op.name in ANCHORS)
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
        return value in self.recomputed

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
