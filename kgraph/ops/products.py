"""Products: matmul, dot, tensordot, einsum, all of which end in the IR's `matmul`; and those of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import DimLike, Shape, shape_volume
from kgraph.ir.ops.rules import broadcast_shapes
from kgraph.ops import making, math, reduction, shaping
from kgraph.ops.convert import active, as_tensor, common, emit, must_equal, normal_axis, same_sizes

__all__ = [
    "cross",
    "dot",
    "einsum",
    "kron",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
]


def _pair(x1: Any, x2: Any) -> tuple[TracedTensor, TracedTensor]:
    left, right = (as_tensor(x) for x in common(as_tensor(x1), as_tensor(x2)))
    return left, right


def _check_inner(name: str, a: TracedTensor, b: TracedTensor, inner_a: DimLike, inner_b: DimLike) -> None:
    must_equal([inner_a, inner_b])
    if inner_a != inner_b:
        raise ShapeError(
            f"{name} cannot multiply shapes {a.shape} and {b.shape}",
            where=str(active().location()),
            got=f"inner sizes {inner_a} and {inner_b}",
            needed="equal inner sizes",
        )


@operation
def matmul(x1: Any, x2: Any) -> Any:
    """Matrix product over the last two axes, with NumPy's rules for vectors and for broadcasting the leading axes."""
    a, b = _pair(x1, x2)
    rank_a, rank_b = len(a.dims), len(b.dims)
    if not rank_a or not rank_b:
        raise ShapeError(
            "matmul needs tensors of rank 1 or more", where=str(active().location()), got=f"{a.shape}, {b.shape}"
        )
    _check_inner("matmul", a, b, a.dims[-1], b.dims[-2] if rank_b > 1 else b.dims[0])
    if rank_a == 1:
        product = matmul(shaping.expand_dims(a, 0), b if rank_b > 1 else shaping.expand_dims(b, 1))
        return shaping.reshape(product, (*b.dims[:-2], *b.dims[-1:]) if rank_b > 1 else ())
    if rank_b == 1:
        return shaping.reshape(matmul(a, shaping.expand_dims(b, 1)), a.dims[:-1])
    if rank_b == 2:
        if rank_a == 2:
            return emit("matmul", a, b)
        # One large product instead of many small ones.
        rows = shaping.reshape(a, (shape_volume(a.dims[:-1]), a.dims[-1]))
        return shaping.reshape(emit("matmul", rows, b), (*a.dims[:-1], b.dims[-1]))
    same_sizes([a.dims[:-2], b.dims[:-2]])
    lead = broadcast_shapes("matmul", [a.dims[:-2], b.dims[:-2]])
    a = shaping.broadcast_to(a, (*lead, *a.dims[-2:]))
    b = shaping.broadcast_to(b, (*lead, *b.dims[-2:]))
    return emit("matmul", a, b)


@operation
def dot(x1: Any, x2: Any) -> Any:
    """The last axis of x1 with the last but one (or only) axis of x2, as `numpy.dot`."""
    a, b = _pair(x1, x2)
    if not a.dims or not b.dims:
        return math.multiply(a, b)
    if len(b.dims) <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=[[-1], [-2]])


@operation
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Sum of products over pairs of axes: a number (last of x1 with first of x2) or two lists."""
    a, b = _pair(x1, x2)
    rank_a, rank_b = len(a.dims), len(b.dims)
    if isinstance(axes, int):
        left, right = list(range(rank_a - axes, rank_a)), list(range(axes))
    else:
        left, right = ([one] if isinstance(one, int) else list(one) for one in axes)
        left, right = [normal_axis(i, rank_a) for i in left], [normal_axis(i, rank_b) for i in right]
    if len(left) != len(right):
        raise InvalidArgumentError("tensordot needs as many axes of one tensor as of the other", got=str(axes))
    for i, j in zip(left, right):
        _check_inner("tensordot", a, b, a.dims[i], b.dims[j])
    free_a = [i for i in range(rank_a) if i not in left]
    free_b = [j for j in range(rank_b) if j not in right]
    inner = shape_volume(tuple(a.dims[i] for i in left))
    keep_a, keep_b = tuple(a.dims[i] for i in free_a), tuple(b.dims[j] for j in free_b)
    rows = shaping.reshape(shaping.transpose(a, [*free_a, *left]), (shape_volume(keep_a), inner))
    columns = shaping.reshape(shaping.transpose(b, [*right, *free_b]), (inner, shape_volume(keep_b)))
    return shaping.reshape(emit("matmul", rows, columns), (*keep_a, *keep_b))


@operation
def outer(x1: Any, x2: Any) -> Any:
    """Every product of an element of x1 and one of x2."""
    return math.multiply(shaping.reshape(x1, (-1, 1)), shaping.reshape(x2, (1, -1)))


@operation
def vdot(x1: Any, x2: Any) -> Any:
    """Sum of the products of all elements, in row-major order."""
    return dot(shaping.reshape(x1, (-1,)), shaping.reshape(x2, (-1,)))


@operation
def kron(x1: Any, x2: Any) -> Any:
    """Kronecker product: x1 with each element replaced by that element times x2."""
    a, b = _pair(x1, x2)
    rank = max(len(a.dims), len(b.dims))
    left = (*(1,) * (rank - len(a.dims)), *a.dims)
    right = (*(1,) * (rank - len(b.dims)), *b.dims)
    wide = math.multiply(
        shaping.reshape(a, tuple(d for size in left for d in (size, 1))),
        shaping.reshape(b, tuple(d for size in right for d in (1, size))),
    )
    return shaping.reshape(wide, tuple(m * n for m, n in zip(left, right)))


@operation
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Cross product of vectors of two or three elements; of two pairs of elements its last element alone.

    Args:
        x1, x2: tensors that broadcast against each other without the axis of the vectors.
        axisa, axisb, axisc: the axis of the vectors in x1, x2 and the result.
        axis: one axis for all three.

    Raises:
        ShapeError: other sizes than 2 and 3.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _pair(x1, x2)
    sides = [shaping.unstack(shaping.moveaxis(x, place, -1), axis=-1) for x, place in ((a, axisa), (b, axisb))]
    if any(len(side) not in (2, 3) for side in sides):
        raise ShapeError(
            "cross needs vectors of two or three elements",
            where=str(active().location()),
            got=f"{len(sides[0])} and {len(sides[1])}",
        )
    flat = all(len(side) == 2 for side in sides)
    (a0, a1, a2), (b0, b1, b2) = (side if len(side) == 3 else [*side, making.zeros_like(side[0])] for side in sides)
    last = math.subtract(math.multiply(a0, b1), math.multiply(a1, b0))
    if flat:
        return last
    first = math.subtract(math.multiply(a1, b2), math.multiply(a2, b1))
    second = math.subtract(math.multiply(a2, b0), math.multiply(a0, b2))
    return shaping.moveaxis(shaping.stack([first, second, last], axis=-1), -1, axisc)


@operation
def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum of products by labels, e.g. `"bqd,bkd->bqk"`, `"...i,ij->...j"`.

    Several operands are taken from left to right.  A label may not occur twice in one operand.
    """
    tensors = [as_tensor(x) for x in common(*[as_tensor(x) for x in operands])]
    terms, output = _labels(subscripts, [len(t.dims) for t in tensors])
    _merge_labels(terms, tensors)
    while len(tensors) > 1:
        later = set(output).union(*terms[2:])
        term = [x for x in dict.fromkeys([*terms[0], *terms[1]]) if x in later]
        product, term = _einsum_pair(terms[0], tensors[0], terms[1], tensors[1], term)
        terms, tensors = [term, *terms[2:]], [product, *tensors[2:]]
    term, tensor = _sum_away(terms[0], tensors[0], set(output))
    return shaping.transpose(tensor, [term.index(x) for x in output])


def _merge_labels(terms: list[list[str]], tensors: list[TracedTensor]) -> None:
    sizes: dict[str, DimLike] = {}
    for term, tensor in zip(terms, tensors):
        for label, size in zip(term, tensor.dims):
            must_equal([sizes.get(label, size), size])
            if sizes.setdefault(label, size) != size:
                raise ShapeError(
                    f"einsum: label {label!r} has sizes {sizes[label]} and {size}", where=str(active().location())
                )


def _labels(subscripts: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """Labels of each operand and of the result; `...` becomes labels `0`, `1`, ... counted from the right."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise InvalidArgumentError(f"einsum {subscripts!r} names {len(parts)} operands", got=f"{len(ranks)} operands")
    terms: list[list[str]] = []
    widest: list[str] = []
    for part, rank in zip(parts, ranks):
        before, dots, after = part.partition("...")
        count = rank - len(before) - len(after)
        if count < 0 or (count and not dots):
            raise ShapeError(
                f"einsum {subscripts!r}: {part!r} does not fit a tensor of rank {rank}", where=str(active().location())
            )
        extra = [str(i) for i in reversed(range(count))]
        widest = max(widest, extra, key=len)
        term = [*before, *extra, *after]
        if len(set(term)) != len(term):
            raise InvalidArgumentError(
                f"einsum {subscripts!r}: a label occurs twice in {part!r}", fix="take the diagonal first"
            )
        terms.append(term)
    if arrow:
        before, dots, after = right.partition("...")
        return terms, [*before, *(widest if dots else []), *after]
    every = [label for term in terms for label in term]
    return terms, [*widest, *sorted(x for x in set(every) if every.count(x) == 1 and not x.isdigit())]


def _sum_away(term: list[str], tensor: TracedTensor, keep: set[str]) -> tuple[list[str], TracedTensor]:
    gone = [i for i, label in enumerate(term) if label not in keep]
    if gone:
        tensor = reduction.sum(tensor, axis=gone)
    return [label for label in term if label in keep], tensor


def _einsum_pair(
    term_a: list[str], a: TracedTensor, term_b: list[str], b: TracedTensor, output: list[str]
) -> tuple[TracedTensor, list[str]]:
    """Product of two operands; returns it with its labels (in the order that needs no last transpose)."""
    keep = set(output)
    term_a, a = _sum_away(term_a, a, keep | set(term_b))
    term_b, b = _sum_away(term_b, b, keep | set(term_a))
    sizes: dict[str, DimLike] = {**dict(zip(term_a, a.dims)), **dict(zip(term_b, b.dims))}
    batch = [x for x in term_a if x in term_b and x in keep]
    inner = [x for x in term_a if x in term_b and x not in keep]
    rows = [x for x in term_a if x not in term_b]
    columns = [x for x in term_b if x not in term_a]

    def arranged(term: list[str], tensor: TracedTensor, groups: Sequence[list[str]]) -> TracedTensor:
        moved = shaping.transpose(tensor, [term.index(x) for group in groups for x in group])
        target: Shape = tuple(sizes[x] for x in groups[0])
        for group in groups[1:]:
            target = (*target, shape_volume(tuple(sizes[x] for x in group)))
        result: TracedTensor = shaping.reshape(moved, target)
        return result

    product = emit("matmul", arranged(term_a, a, [batch, rows, inner]), arranged(term_b, b, [batch, inner, columns]))
    labels = [*batch, *rows, *columns]
    return shaping.reshape(product, tuple(sizes[x] for x in labels)), labels
