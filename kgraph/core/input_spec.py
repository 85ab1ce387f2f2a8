"""`InputSpec`: what a layer demands of its inputs, and the check that names layer, call and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgraph.core import tree
from kgraph.core.dtypes import standardize_dtype
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError

__all__ = ["InputSpec", "check_inputs"]


class InputSpec:
    """Rank, sizes and type that an input must have; None asks nothing.

    Args:
        dtype: element type (documentation only, as in Keras).
        shape: full shape, None for any size.
        ndim, max_ndim, min_ndim: number of axes.
        axes: axis -> size.
        allow_last_axis_squeeze: a last axis of size 1 may be missing or too much.
        name: name of the tensor.
        optional: the input may be None.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = standardize_dtype(dtype) if dtype is not None else None
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.optional = optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        if self.axes and (self.ndim is not None or self.max_ndim is not None):
            limit = (self.ndim if self.ndim is not None else self.max_ndim or 0) - 1
            if max(self.axes) > limit:
                raise InvalidArgumentError("InputSpec: an axis is greater than the last axis", got=f"axes={self.axes}")

    def __repr__(self) -> str:
        parts = [f"{key}={value!r}" for key, value in self.get_config().items() if value]
        return f"InputSpec({', '.join(parts)})"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal spec."""
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": dict(self.axes),
        }

    def wanted(self) -> str:
        """The ranks that fit, for messages."""
        if self.ndim is not None:
            return f"rank {self.ndim}, with the batch"
        if self.min_ndim is not None:
            return f"rank {self.min_ndim} or more, with the batch"
        return "" if self.max_ndim is None else f"rank {self.max_ndim} or less, with the batch"

    def complaint(self, shape: tuple[int | None, ...]) -> tuple[str, str] | None:
        """(what is expected, what was found), or None when the shape fits."""
        rank = len(shape)
        if self.shape is not None and self.allow_last_axis_squeeze:
            wanted = self.shape
            if wanted and wanted[-1] == 1 and rank == len(wanted) - 1:
                shape, rank = (*shape, 1), rank + 1
            elif rank == len(wanted) + 1 and shape[-1] == 1:
                shape, rank = shape[:-1], rank - 1
        if self.ndim is not None and rank != self.ndim:
            return f"expected ndim={self.ndim}", f"found ndim={rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}", f"found ndim={rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}", f"found ndim={rank}"
        for axis, size in self.axes.items():
            if size is not None and (not -rank <= axis < rank or shape[axis] not in (size, None)):
                return f"expected axis {axis} of input shape to have value {size}", f"received input with shape {shape}"
        for axis, size in enumerate(self.shape or ()):
            if size is not None and shape[axis] is not None and shape[axis] != size:
                return f"expected shape={self.shape}", f"found shape={shape}"
        return None


def check_inputs(spec: Any, inputs: Any, layer: Any, where: str = "") -> None:
    """Check the tensors `inputs` against a layer's `input_spec` (one, or a list of them).

    Raises:
        ShapeError: a shape does not fit, or the number of inputs is another.
    """
    if not spec:
        return
    specs = tree.flatten(spec)
    if isinstance(spec, dict):
        names = list(spec)
        if not isinstance(inputs, dict):
            raise ShapeError(
                f"Layer {layer.name!r} needs a dict of inputs", where=where, got=repr(inputs), needed=", ".join(names)
            )
        tensors = [inputs.get(name) for name in sorted(names)]
    else:
        tensors = tree.flatten(inputs)
    if len(tensors) != len(specs):
        raise ShapeError(
            f"Layer {layer.name!r} expects {len(specs)} input(s), but it received {len(tensors)} input tensors.",
            where=where,
            got=", ".join(_text(x) for x in tensors),
        )
    for position, (tensor, one) in enumerate(zip(tensors, specs)):
        if one is None or (tensor is None and one.optional):
            continue
        if not isinstance(tensor, (TracedTensor, SymbolicTensor)):
            continue
        complaint = one.complaint(tensor.shape)
        if complaint:
            built = getattr(layer, "_built_at", None)
            raise ShapeError(
                f'Input {position} of layer "{layer.name}" is incompatible with the layer: {complaint[0]}, '
                f"{complaint[1]}.",
                where=where,
                got=f"Full shape received: {tensor.shape}",
                needed=_built_for(layer, built) if built else one.wanted(),
                fix=f"make a new {type(layer).__name__} for this input, or reshape the input" if built else "",
            )


def _built_for(layer: Any, built: tuple[Any, str]) -> str:
    return f"{layer.name!r} was built for input {built[0]}" + (f" at {built[1]}" if built[1] else "")


def _text(x: Any) -> str:
    return str(x.shape) if isinstance(x, (TracedTensor, SymbolicTensor)) else repr(x)
