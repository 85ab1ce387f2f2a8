"""The reference interpreter: runs any graph with the NumPy reference of each op.

It is the oracle of the tests and the `reference` target, so it prefers plainness to speed.  Invariant: every array it
makes has exactly the declared element type and shape; anything else is a fault of an op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, InternalError, InvalidArgumentError, KGraphError, ShapeError
from kgraph.ir.dims import Dim, evaluate_shape
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.types import TensorType, numpy_dtype

__all__ = ["REGION_RUNNERS", "RegionRunner", "Result", "Step", "evaluate_attrs", "infer_sizes", "interpret"]

Array = npt.NDArray[Any]
RunRegion = Callable[[Sequence[Array]], list[Array]]


@dataclass(frozen=True)
class Result:
    """What a run gives back.  The arrays are new: they share no memory with inputs or params.

    Attributes:
        outputs: the graph's outputs, in order.
        updates: param name -> its new value.
    """

    outputs: list[Array]
    updates: dict[str, Array]


def interpret(
    graph: Graph,
    inputs: Mapping[str, Any] | Sequence[Any] = (),
    params: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Result:
    """Run `graph` once.

    Args:
        graph: any graph, before or after passes.
        inputs: arrays by name, or in the graph's order.
        params: arrays by name.
        sizes: sizes of symbols that no shape of an input or param fixes.

    Raises:
        ShapeError: an array does not have its declared shape, or a symbol has two sizes or none.
        DtypeError: an array does not have its declared element type.
        InvalidArgumentError: an input or param is missing or unknown.
        DataError: values are not allowed, such as an index out of range.
        InternalError: an op's reference broke its own type rule.
    """
    if any(node.op.name == "gradients" for node in graph.nodes):
        from kgraph.ir.passes import PassContext
        from kgraph.ir.passes.autodiff import ExpandGradients

        graph = graph.copy()
        ExpandGradients().run(graph, PassContext(verify=False))
    values = [*graph.inputs, *graph.params]
    arrays = [*_bind("input", graph.inputs, inputs), *_bind("param", graph.params, params or {})]
    known = infer_sizes(graph, [(v.name, v.type, a.shape) for v, a in zip(values, arrays, strict=True)], sizes)
    for value, array in zip(values, arrays, strict=True):
        if array.dtype != numpy_dtype(value.dtype):
            raise DtypeError(f"%{value.name} needs elements of type {value.dtype}", got=str(array.dtype))
    with np.errstate(all="ignore"):  # NaN and infinity are values here
        results = _Program(graph, known).run(arrays)
    taken = {id(array) for array in arrays}
    fresh = [np.array(array) if array.base is not None or id(array) in taken else array for array in results]
    count = len(graph.outputs)
    updates = {param.name: array for (param, _), array in zip(graph.updates, fresh[count:], strict=True)}
    return Result(fresh[:count], updates)


def _bind(kind: str, values: Sequence[Value], given: Mapping[str, Any] | Sequence[Any]) -> list[Array]:
    names = [value.name for value in values]
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise InvalidArgumentError(
                f"the graph takes {len(names)} {kind}s", got=f"{len(given)}", needed=", ".join(names)
            )
        return [np.asarray(array) for array in given]
    if set(given) != set(names):
        raise InvalidArgumentError(
            f"the {kind}s do not fit the graph", got=", ".join(given) or "none", needed=", ".join(names) or "none"
        )
    return [np.asarray(given[name]) for name in names]


# -- sizes ----------------------------------------------------------------------------------------------------------


def infer_sizes(
    graph: Graph, shapes: Iterable[tuple[str, TensorType, tuple[int, ...]]], sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Sizes of all symbols of `graph` from (name, declared type, actual shape) triples and the `sizes` already known.

    Raises:
        ShapeError: a rank or size is not the declared one, or a symbol has two sizes, none, or one below its least.
    """
    triples = list(shapes)
    for name, type, shape in triples:
        if len(shape) != type.rank:
            raise ShapeError(f"%{name}: {type} has rank {type.rank}", got=f"an array of shape {list(shape)}")
    known = dict(sizes or {})
    pending = [(dim, size) for _, type, shape in triples for dim, size in zip(type.shape, shape, strict=True)]
    while any([_solve(dim, size, known) for dim, size in pending]):
        pass
    for symbol, least in graph.symbols.items():
        if symbol not in known:
            raise ShapeError(f"no input fixes the size {symbol}", fix="pass it in `sizes`")
        if known[symbol] < least:
            raise ShapeError(f"the size {symbol} is {known[symbol]}", needed=f"at least {least}")
    for name, type, shape in triples:
        for axis, (dim, size) in enumerate(zip(type.shape, shape, strict=True)):
            expected = dim.evaluate(known) if isinstance(dim, Dim) else dim
            if expected != size:
                reason = f" ({dim}, where {_sizes_text(dim, known)})" if isinstance(dim, Dim) else ""
                raise ShapeError(
                    f"%{name}: {type} has another size on axis {axis}", got=f"{size}", needed=f"{expected}{reason}"
                )
    return known


def _solve(dim: int | Dim, size: int, known: dict[str, int]) -> bool:
    """Find the only unknown symbol of `dim`, if it occurs linearly; whether something was found."""
    if not isinstance(dim, Dim):
        return False
    unknown = [name for name in dim.symbols if name not in known]
    if len(unknown) != 1 or any(monomial.count(unknown[0]) > 1 for monomial, _ in dim.terms):
        return False
    (name,) = unknown
    offset = dim.evaluate({**known, name: 0})
    factor = dim.evaluate({**known, name: 1}) - offset
    if factor == 0 or (size - offset) % factor:
        return False
    known[name] = (size - offset) // factor
    return True


def _sizes_text(dim: Dim, known: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {known[name]}" for name in dim.symbols)


def evaluate_attrs(attrs: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Attributes with every symbolic size replaced by a number, also inside tuples."""
    return {name: _evaluate(value, sizes) for name, value in attrs.items()}


def _evaluate(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return value.evaluate(sizes)
    if isinstance(value, tuple):
        return tuple(_evaluate(item, sizes) for item in value)
    return value


# -- running --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One node, prepared for given sizes: what does not change between runs.

    Attributes:
        node: the node.
        attrs: its attributes, sizes as numbers.
        shapes: shapes of the results.
        regions: a function for each region, from its arguments to its outputs.
        dead: ids of values that nobody reads after this node.
    """

    node: Node
    attrs: dict[str, Any]
    shapes: list[tuple[int, ...]]
    regions: list[RunRegion]
    dead: list[int]


RegionRunner = Callable[[Step, Sequence[Array]], Sequence[Array]]


class _Program:
    """A graph prepared for given sizes.  A loop prepares its body once and runs it for each step."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self.arguments = [id(value) for value in (*graph.inputs, *graph.params)]
        self.results = [id(value) for value in graph.required()]
        self.literals: dict[int, Array] = {}
        last: dict[int, int] = {}
        for position, node in enumerate(graph.nodes):
            for value in node.operands:
                last[id(value)] = position
            for value in node.results:
                last.setdefault(id(value), position)
        for value in (v for values in (*(n.operands for n in graph.nodes), graph.required()) for v in values):
            if value.literal is not None:
                self.literals[id(value)] = np.asarray(value.literal, dtype=numpy_dtype(value.dtype))
        kept = {*self.results, *self.literals}
        dead: list[list[int]] = [[] for _ in graph.nodes]
        for key, position in last.items():
            if key not in kept:
                dead[position].append(key)
        self.steps = [_prepare(node, sizes, dead[position]) for position, node in enumerate(graph.nodes)]

    def run(self, arguments: Sequence[Array]) -> list[Array]:
        """Values of the outputs, then of the updates."""
        values = dict(self.literals)
        values.update(zip(self.arguments, arguments, strict=True))
        for step in self.steps:
            operands = [values[id(value)] for value in step.node.operands]
            results = _evaluate_node(step, operands)
            del operands
            for value, array in zip(step.node.results, results, strict=True):
                values[id(value)] = array
            del results
            for key in step.dead:
                del values[key]
        return [values[key] for key in self.results]


def _prepare(node: Node, sizes: Mapping[str, int], dead: list[int]) -> Step:
    regions: list[RunRegion] = [_Program(region, sizes).run for region in node.regions]
    shapes = [evaluate_shape(value.shape, sizes) for value in node.results]
    return Step(node, evaluate_attrs(node.attrs, sizes), shapes, regions, dead)


def _evaluate_node(step: Step, operands: Sequence[Array]) -> list[Array]:
    node = step.node
    try:
        if node.op.name in REGION_RUNNERS:
            raw: Any = REGION_RUNNERS[node.op.name](step, operands)
        elif node.op.reference is not None:
            raw = node.op.reference(*operands, **step.attrs)
        else:
            raise InternalError(f"op {node.op.name} has no reference")
    except KGraphError as error:
        raise error.located(_place(node)) from None
    except Exception as error:
        raise InternalError(
            f"the reference of op {node.op.name} failed: {error}",
            where=_place(node),
            got=", ".join(f"{a.dtype}{list(a.shape)}" for a in operands),
        ) from error
    results = list(raw) if isinstance(raw, (tuple, list)) else [raw]
    if len(results) != len(node.results):
        raise InternalError(
            f"the reference of op {node.op.name} gave {len(results)} results", needed=f"{len(node.results)}"
        )
    return [_exact(node, i, np.asarray(array), step.shapes[i]) for i, array in enumerate(results)]


def _exact(node: Node, index: int, array: Array, shape: tuple[int, ...]) -> Array:
    """`array`, which has the declared shape and type; a wider type of the same kind is rounded."""
    dtype = numpy_dtype(node.results[index].dtype)
    same_kind = array.dtype.kind == dtype.kind and array.dtype.itemsize >= dtype.itemsize
    if array.shape != shape or not same_kind:
        raise InternalError(
            f"the reference of op {node.op.name} broke its type rule",
            where=_place(node),
            got=f"{array.dtype}{list(array.shape)}",
            needed=f"{dtype}{list(shape)}",
        )
    return array.astype(dtype, copy=False)


def _place(node: Node) -> str:
    where = str(node.loc)
    return f"{node.op.name} at {where}" if where else node.op.name


# -- regions --------------------------------------------------------------------------------------------------------


def _run_scan(step: Step, operands: Sequence[Array]) -> Sequence[Array]:
    attrs = step.attrs
    inits, count, axis, length = attrs["inits"], attrs["sequences"], attrs["axis"], attrs["length"]
    states = list(operands[:inits])
    sequences = [np.moveaxis(array, axis, 0) for array in operands[inits : inits + count]]
    invariants = operands[inits + count :]
    stacked = [
        np.empty(shape, numpy_dtype(value.dtype))
        for shape, value in zip(step.shapes[inits:], step.node.results[inits:], strict=True)
    ]
    by_time = [np.moveaxis(array, axis, 0) for array in stacked]
    (body,) = step.regions
    for time in reversed(range(length)) if attrs["reverse"] else range(length):
        results = body([*states, *(sequence[time] for sequence in sequences), *invariants])
        states = results[:inits]
        for array, slot in zip(results[inits:], by_time, strict=True):
            slot[time] = array
    return [*states, *stacked]


def _run_kernel(step: Step, operands: Sequence[Array]) -> Sequence[Array]:
    return step.regions[0](operands)


# Ops whose meaning is in their regions: (step, operands) -> results.
REGION_RUNNERS: dict[str, RegionRunner] = {"kernel": _run_kernel, "scan": _run_scan}
