"""Fusion: which nodes of a normalised graph share a kernel.

Nodes are visited once, in program order, and each joins the cluster that computed its latest operand, or the newest
cluster over the same domain, or opens one; clusters run in the order they were opened, so joining an older one is
legal exactly when every operand is older still.  That makes fusion linear in the size of the graph and needs no
search for cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kgraph.codegen.normalise import is_alias, is_anchor, is_inline
from kgraph.ir.dims import Shape, shape_text
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE

__all__ = ["FULL", "GATHERING", "KEPT", "Cluster", "Fusion", "leaves"]

_REDUCTIONS = frozenset({"sum", "max", "min", "prod", "argmax", "argmin"})
# Element generators: one result element from indices or random bits, no full-size operand.
GATHERING = frozenset({"gather", "pad", "max_pool", "sum_pool", "max_pool_grad"})
_EPILOGUE = frozenset({"gemm", "conv"})
_ANCHOR_FAMILY = {
    "matmul": "gemm",
    "conv2d": "conv",
    "conv2d_kernel_grad": "conv_wgrad",
    "max_pool_grad": "pool_grad",
    "scatter_add": "scatter",
    "scatter_rows": "scatter",
    "cumsum": "cumsum",
    "argsort": "argsort",
    "concat": "concat",
    "scan": "scan",
    "attention": "attention",
    "attention_grad": "attention_grad",
}
FULL, KEPT = "full", "kept"
MAX_KERNEL_NODES = 96  # the compiler's time grows faster than the length of a function


@dataclass
class Cluster:
    """A kernel in the making.

    Attributes:
        index: place in the order of execution.
        family: gemm, conv, conv_wgrad, pool_grad, scatter, cumsum, argsort, concat, scan, attention,
            attention_grad, map, rows or cols.
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


class Fusion:
    """Assigns every node that is neither inline nor an alias to a cluster."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.clusters: list[Cluster] = []
        self.cluster_of: dict[Value, Cluster] = {}
        self.newest: dict[tuple[Shape, bool], Cluster] = {}
        self.reasons: dict[Value, str] = {}
        self.update_nodes = _update_section(graph)
        self.homes = _update_homes(graph, self.update_nodes)
        self.early = _numbers_of_updates(graph, self.update_nodes)

    def assign(self) -> None:
        """Visit the nodes in program order."""
        # Numbers that depend on no kernel (1 / batch size, a loss weight) come first, whenever they are first written:
        # what uses them may then join early kernels.
        prelude = Cluster(0, "map", ())
        self.clusters.append(prelude)
        for node in self.graph.nodes:
            if is_inline(node) or is_alias(node) or node.op.name == "constant":
                continue
            if is_anchor(node):
                self._open(node, _ANCHOR_FAMILY[node.op.name], node.results[0].shape)
            elif node.op.name in _REDUCTIONS:
                self._place_reduction(node)
            elif self._is_number(node) and self._needs_only(node, prelude):
                self._join(node, prelude, FULL)
            else:
                self._place_elementwise(node)

    def _is_number(self, node: Node) -> bool:
        return node.results[0].shape == () and (node not in self.update_nodes or node in self.early)

    # -- placing ----------------------------------------------------------------------------------------------------
    def _place_elementwise(self, node: Node) -> None:
        shape, update = node.results[0].shape, node in self.update_nodes
        home = self.homes.get(node)
        at_home = self.cluster_of.get(home.results[0]) if home is not None else None
        if at_home is not None:
            status = self._fits(node, at_home, update)
            if status:
                self._join(node, at_home, status)
                return
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
        for leaf, _ in leaves(node):
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
        for leaf, _ in leaves(node):
            self.reasons.setdefault(leaf, reason)
        return None

    def _refusal(self, node: Node, cluster: Cluster, update: bool) -> str:
        """Why a kernel takes no such node, whatever its operands; empty when it does."""
        if len(cluster.nodes) >= MAX_KERNEL_NODES:
            return f"the kernel is full ({MAX_KERNEL_NODES} ops): longer ones compile out of proportion"
        if cluster.update != update and self.homes.get(node) is not cluster.nodes[0]:
            return "the optimizer's updates are kept apart: one compiled kernel serves all of a kind"
        if cluster.family not in ("map", "rows", "cols", *_EPILOGUE):
            return f"a {cluster.family} kernel takes no elementwise work after it"
        if cluster.family in _EPILOGUE and node.op.name in GATHERING:
            return f"{node.op.name} reads other elements than its own"
        return ""

    def _operands_fit(self, node: Node, cluster: Cluster, status: str) -> bool:
        for leaf, direct in leaves(node):
            owner = self.cluster_of.get(leaf)
            if owner is None or owner.index < cluster.index:
                continue
            if owner.index > cluster.index:
                return False
            have = cluster.status[leaf]
            if status == FULL and have == FULL:
                if not direct or leaf.shape != cluster.domain or node.op.name in GATHERING:
                    return False
            elif status == KEPT and have == FULL:
                return False
            # A folded value is whole only once its row is done; columns are whole only after the last task.
            elif (status == FULL and cluster.family != "rows") or not _reads_own_row(node, leaf, cluster, status):
                return False
        return True


def _reads_own_row(node: Node, leaf: Value, cluster: Cluster, status: str) -> bool:
    """Whether every element of `node` reads of the folded value `leaf` the one that belongs to its own row."""
    if _without_ones(leaf.shape) != _without_ones(cluster.kept_shape()) or node.op.name in GATHERING:
        return False
    if all(cluster.domain[axis] == 1 for axis in cluster.reduced):
        return False
    kept = [axis for axis in range(len(cluster.domain)) if axis not in cluster.reduced and cluster.domain[axis] != 1]
    here = list(range(len(cluster.domain))) if status == FULL else _spread(kept, node.results[0].shape)
    for operand in node.operands:
        if leaf not in (value for value, _ in _value_leaves(operand)):
            continue
        axes = _axes_of(operand, leaf, _spread(kept, leaf.shape))
        if axes is None:
            return False
        lead = len(here) - len(axes)
        if any(axis is not None and here[lead + place] != axis for place, axis in enumerate(axes)):
            return False
    return True


def _spread(axes: Sequence[int | None], shape: Shape) -> list[int | None]:
    """The domain's axes, in order, on the axes of `shape` that are larger than 1."""
    rest = iter(axes)
    return [None if dim == 1 else next(rest) for dim in shape]


def _axes_of(value: Value, leaf: Value, axes: list[int | None]) -> list[int | None] | None:
    """Which axis of the domain each axis of `value`, a view of `leaf`, runs along; None when it is moved about."""
    if value is leaf:
        return axes
    producer = value.producer
    if producer is None or not is_inline(producer) or producer.op.name not in ("reshape", "broadcast_to"):
        return None
    source = producer.operands[0]
    inner = _axes_of(source, leaf, axes)
    if inner is None:
        return None
    if producer.op.name == "reshape":
        return _spread([a for a, dim in zip(inner, source.shape, strict=True) if dim != 1], value.shape)
    lead = len(value.shape) - len(source.shape)
    same = [a if dim == wide else None for a, dim, wide in zip(inner, source.shape, value.shape[lead:], strict=True)]
    return [None] * lead + same


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


def _update_homes(graph: Graph, section: set[Node]) -> dict[Node, Node]:
    """Update node -> the matrix product after whose tiles it is computed.

    A gradient that only its own update reads need not be stored: the tile updates the weights while it is in cache.
    """
    place = {node: number for number, node in enumerate(graph.nodes)}
    homes: dict[Node, Node] = {}
    required = set(graph.required())
    for node in graph.nodes:
        result = node.results[0]
        if node.op.name == "matmul" and result not in required and result.uses and section.issuperset(result.uses):
            homes[node] = node
        elif node in section and not is_inline(node):
            found = {homes.get(v.producer) for v in node.operands if v.producer and v.shape == result.shape} - {None}
            home = found.pop() if len(found) == 1 else None
            if home is not None:
                homes[node] = home
    for node in reversed(graph.nodes):  # moments times a factor: they depend on no gradient, but only serve the update
        if node in section and node not in homes and not is_inline(node) and node.results[0].uses:
            users = {homes.get(user) for user in node.results[0].uses}
            home = users.pop() if len(users) == 1 else None
            if home is not None and home.results[0].shape == node.results[0].shape:
                homes[node] = home
    late = {
        homes.get(value.producer)
        for param, value in graph.updates
        if value.producer in homes
        for user in param.uses
        if user not in section and place[user] > place[homes[value.producer]]
    }
    return {node: home for node, home in homes.items() if home not in late and node is not home}


def _numbers_of_updates(graph: Graph, section: set[Node]) -> set[Node]:
    """Single numbers of the optimizer that whole arrays are updated with, as 1 - beta ** t."""
    early: set[Node] = set()
    targets = {value for _, value in graph.updates}
    for node in reversed(graph.nodes):
        result = node.results[0]
        if node in section and result.shape == () and result not in targets:
            if any(user.results[0].shape != () or user in early for user in result.uses):
                early.add(node)
    return early


def leaves(node: Node) -> Iterator[tuple[Value, bool]]:
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
