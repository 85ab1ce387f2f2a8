"""The two tensors without values: `SymbolicTensor` in functional models, `TracedTensor` while a function is lowered
to IR.

Both know shape and type only.  Asking for a truth value, a length or a NumPy array is an error that says what to use
instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from kgraph.core.dtypes import front_dtype, symbolic_dtype
from kgraph.core.operators import UFUNCS, OperatorMixin
from kgraph.core.session import on_clear_session, unique_name
from kgraph.errors import CallError, LayerAttributeError, SymbolicBoolError
from kgraph.ir.dims import Dim, DimLike, Shape

if TYPE_CHECKING:
    from kgraph.core.node import History
    from kgraph.core.trace import Trace
    from kgraph.ir.graph import Value

__all__ = [
    "SymbolicTensor",
    "TracedTensor",
    "fresh_symbol",
    "is_symbolic",
    "merge_symbols",
    "resolve_dims",
    "shape_dims",
]

BATCH = "B"
_AXIS_NAMES = {(3, 1): "T", (4, 1): "H", (4, 2): "W", (2, 1): "N"}


class _Symbols:
    """Names of unknown sizes, and which of them turned out to be one size (union-find by name)."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        while name in self.parent:
            name = self.parent[name]
        return name


_SYMBOLS = _Symbols()
on_clear_session(_SYMBOLS.counts.clear)


def fresh_symbol(rank: int, axis: int) -> Dim:
    """A new unknown size: `T`, then `T2`, ... for axis 1 of 3; `H`, `W` for images; `N` otherwise."""
    base = _AXIS_NAMES.get((rank, axis), "N")
    while True:
        _SYMBOLS.counts[base] = count = _SYMBOLS.counts.get(base, 0) + 1
        name = base if count == 1 else f"{base}{count}"
        if name not in _SYMBOLS.parent:  # a merged name means its partner for good
            return Dim.symbol(name)


def merge_symbols(first: str, second: str) -> None:
    """Note that two unknown sizes are one; the batch stays the name where it takes part."""
    first, second = _SYMBOLS.root(first), _SYMBOLS.root(second)
    if first != second:
        keep, drop = (second, first) if second == BATCH else (first, second)
        _SYMBOLS.parent[drop] = keep


def substitute(dim: DimLike, sizes: dict[str, DimLike]) -> DimLike:
    """`dim` with symbols replaced by sizes, which may be symbolic themselves."""
    if isinstance(dim, int):
        return dim
    total: DimLike = 0
    for monomial, coefficient in dim.terms:
        product: DimLike = coefficient
        for name in monomial:
            product = product * sizes.get(name, Dim.symbol(name))
        total = total + product
    return total


def resolve_dims(dims: Shape) -> Shape:
    """The same sizes, with symbols that were found equal under one name."""
    if not _SYMBOLS.parent or all(isinstance(dim, int) for dim in dims):
        return dims
    names = {name for dim in dims if isinstance(dim, Dim) for name in dim.symbols}
    sizes: dict[str, DimLike] = {name: Dim.symbol(_SYMBOLS.root(name)) for name in names}
    return tuple(substitute(dim, sizes) for dim in dims)


def shape_dims(shape: Sequence[Any]) -> Shape:
    """Sizes for a shape with None: the first None axis 0 is the batch `B`, others are new symbols."""
    dims: list[DimLike] = []
    for axis, size in enumerate(shape):
        if size is None:
            dims.append(Dim.symbol(BATCH) if axis == 0 else fresh_symbol(len(shape), axis))
        else:
            dims.append(size if isinstance(size, Dim) else int(size))
    return tuple(dims)


def dims_shape(dims: Shape) -> tuple[int | None, ...]:
    """A Keras shape: None for every size that is not a number."""
    return tuple(dim if isinstance(dim, int) else None for dim in dims)


class _NoValue(OperatorMixin):
    """What both kinds share: no values, so no truth, no length, no iteration over unknown sizes, no NumPy array."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, None where not known."""
        raise NotImplementedError

    def _describe(self) -> str:
        return repr(self)

    def __bool__(self) -> NoReturn:
        raise SymbolicBoolError(
            "Python asked for the truth value of a tensor that has no value yet",
            got=self._describe(),
            needed="a condition on sizes or plain Python values in `if`, `while`, `and`, `or`, `not`",
            fix="choose element by element with ops.where(condition, a, b); for loops ops.scan",
        )

    def _no_number(self, what: str) -> NoReturn:
        raise SymbolicBoolError(
            f"Python asked for {what} of a tensor that has no value yet",
            got=self._describe(),
            fix="keep to functions of kgraph.ops; sizes are in ops.shape(x)",
        )

    def __float__(self) -> float:
        self._no_number("the number")

    def __int__(self) -> int:
        self._no_number("the number")

    def __index__(self) -> int:
        self._no_number("the number")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._no_number("the NumPy array")

    def __getattr__(self, name: str) -> NoReturn:
        if name == "numpy":
            raise LayerAttributeError(
                ".numpy() was called on a tensor that has no value yet",
                got=self._describe(),
                fix="keep to functions of kgraph.ops; return the value from train_step to see it in the history",
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise CallError(
            "a tensor cannot be changed in place",
            got=self._describe(),
            fix="make a new one: ops.where(mask, a, b), or ops.concatenate of the parts",
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`array + tensor` becomes the op of that name; other functions of NumPy would need values."""
        from kgraph import ops

        if method == "__call__" and not kwargs and ufunc.__name__ in UFUNCS:
            return getattr(ops, UFUNCS[ufunc.__name__])(*inputs)
        self._no_numpy(ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Functions of NumPy would need values; those of shapes do not."""
        if function.__name__ in ("shape", "ndim") and len(args) == 1:
            return getattr(self, function.__name__)
        self._no_numpy(function.__name__)

    def _no_numpy(self, name: str) -> NoReturn:
        from kgraph import ops

        raise SymbolicBoolError(
            f"numpy.{name} was called on a tensor that has no value yet",
            got=self._describe(),
            fix=f"use ops.{name}" if hasattr(ops, name) else "keep to functions of kgraph.ops",
        )

    def __len__(self) -> int:
        size = self.shape[0] if self.shape else None
        if size is None:
            self._no_number("the length")
        return size

    def __iter__(self) -> Iterator[Any]:
        size = self.shape[0] if self.shape else None
        if size is None:
            raise SymbolicBoolError(
                "Python asked to iterate over a tensor whose first size is not known",
                got=self._describe(),
                fix="use ops.scan over the axis, or operate on the whole tensor",
            )
        return (self[i] for i in range(size))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __hash__(self) -> int:
        return id(self)


class SymbolicTensor(_NoValue):
    """A tensor of a functional model: what `Input` returns and what layers called on it return.

    Attributes:
        shape: sizes, None where not known (the batch).
        dtype: e.g. `"float32"`.
        name: its name; the layer's name for outputs of layers.
    """

    def __init__(
        self,
        shape: Sequence[Any],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        self._dims: Shape = shape_dims(shape)
        self.dtype: str = symbolic_dtype(dtype)
        self.name = name or unique_name("keras_tensor")
        self._keras_history: History | None = None
        self._keras_mask: Any = None
        self._mask_of: SymbolicTensor | None = None
        self.sparse = sparse

    @property
    def dims(self) -> Shape:
        """Sizes with symbols (`B`, `T`) where `shape` has None."""
        return resolve_dims(self._dims)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, None where not known."""
        return dims_shape(self._dims)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = _NoValue.__hash__

    def reshape(self, *shape: Any) -> Any:
        """`ops.reshape`."""
        from kgraph import ops

        return ops.reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class TracedTensor(_NoValue):
    """An IR value while a function is traced; every operation on it appends to the graph.

    Attributes:
        value: the IR value.
        trace: the trace that it belongs to.
    """

    def __init__(self, value: Value, trace: Trace | None = None) -> None:
        if trace is None:
            from kgraph.core.trace import require_trace

            trace = require_trace("a traced tensor")
        self.value = value
        self.trace = trace
        self._keras_mask: Any = None

    @property
    def dims(self) -> Shape:
        """Exact sizes: integers and symbolic sizes."""
        return self.value.shape

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, None for symbolic ones, as Keras shows them."""
        return dims_shape(self.value.shape)

    @property
    def dtype(self) -> str:
        """Element type, e.g. `"float32"`."""
        return front_dtype(self.value.dtype)

    def __eq__(self, other: object) -> Any:
        from kgraph import ops

        return ops.equal(self, other)

    def __ne__(self, other: object) -> Any:
        from kgraph import ops

        return ops.not_equal(self, other)

    __hash__ = _NoValue.__hash__

    def reshape(self, *shape: Any) -> Any:
        """`ops.reshape`."""
        from kgraph import ops

        return ops.reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)

    def astype(self, dtype: Any) -> Any:
        """`ops.cast`."""
        from kgraph import ops

        return ops.cast(self, dtype)

    def __repr__(self) -> str:
        return f"<TracedTensor {self.value.type}>"


def is_symbolic(value: Any) -> bool:
    """Whether this is a tensor of a functional model."""
    return isinstance(value, SymbolicTensor)
