"""`Input`: the entry of a functional model, and the `InputLayer` behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.dtypes import symbolic_dtype
from kgraph.core.layer import Layer
from kgraph.core.node import Node
from kgraph.core.tensors import SymbolicTensor
from kgraph.errors import InvalidArgumentError

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """The layer whose output is an input of a model.

    Args:
        shape: shape of one sample.
        batch_size: number of samples, when it is fixed.
        dtype: element type, floatx by default.
        batch_shape: shape with the batch; instead of `shape`.
        input_tensor: symbolic tensor to take shape and type from.
        name: name of the layer and of its tensor.
        optional: the input may be None.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: Any = None,
        ragged: Any = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:  # Keras 2
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
            name = name or input_tensor.name
        if (shape is None) == (batch_shape is None):
            raise InvalidArgumentError(
                "an Input needs `shape` (of one sample) or `batch_shape`, and not both",
                got=f"shape={shape}, batch_shape={batch_shape}",
            )
        super().__init__(name=name, **kwargs)
        sizes = (batch_size, *_sizes(shape)) if shape is not None else _sizes(batch_shape)
        self.batch_shape: tuple[int | None, ...] = tuple(sizes)
        self._input_element = symbolic_dtype(dtype)
        self.optional = optional
        self.built = True
        tensor = SymbolicTensor(self.batch_shape, self._input_element, name=self.name)
        Node(self, (), {}, tensor)

    @property
    def dtype(self) -> str:
        """Element type of the input."""
        return self._input_element

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Inputs are fed, not called."""
        raise InvalidArgumentError(f"input layer {self.name!r} cannot be called")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }

    def __repr__(self) -> str:
        return f"<InputLayer name={self.name}, shape={self.batch_shape}>"


def _sizes(shape: Any) -> Sequence[int | None]:
    if isinstance(shape, (int, np.integer)):
        raise InvalidArgumentError("a shape must be a tuple", got=repr(shape), fix=f"write ({shape},)")
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if any(size is not None and (not hasattr(size, "__index__") or int(size) < 0) for size in sizes):
        raise InvalidArgumentError("a shape holds sizes of 0 or more and None", got=repr(shape), fix="write shape=(8,)")
    return tuple(None if size is None else int(size) for size in sizes)


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: Any = None,
    ragged: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
    **kwargs: Any,
) -> SymbolicTensor:
    """A symbolic tensor to build a model on.

    Args:
        shape: shape of one sample, None for sizes that vary.
        batch_size: number of samples, when it is fixed.
        dtype: element type, floatx by default; "string" for layers such as `StringLookup`.
        batch_shape: shape with the batch; instead of `shape` (also `batch_input_shape` of Keras 2).
        name: name of the input, by which dicts of data are read.
        tensor: symbolic tensor to take shape and type from.

    Example:
        >>> x = Input(shape=(784,), name="pixels")
        >>> x.shape
        (None, 784)
    """
    if sparse or ragged:
        raise InvalidArgumentError("sparse and ragged inputs do not exist here", fix="pass dense arrays")
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        batch_shape=batch_shape,
        input_tensor=tensor,
        name=name,
        optional=optional,
        **kwargs,
    )
    output: SymbolicTensor = layer._inbound_nodes[0].output_tensors[0]
    return output
