"""`HostLayer`: layers that work in Python, on arrays, because they read strings or hash; and what they share.

Such a layer may still be part of a model, right behind its `Input` (or behind another such layer): `fit`, `evaluate`
and `predict` then run it on the data before the native program, see `kgraph.trainer.host`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core import InputLayer, Layer, SymbolicTensor, TracedTensor, tree
from kgraph.core.node import Node, origin
from kgraph.errors import DtypeError, InvalidArgumentError, UnsupportedError

__all__ = ["HostLayer", "adapt_batches", "encode_on_host", "encoded_shape", "normal_salt", "object_array", "text_array"]

Array = npt.NDArray[Any]
Spec = tuple[tuple[int | None, ...], str]


class HostLayer(Layer):
    """A layer that computes in Python.

    A subclass gives `host_call` (arrays to an array) and `host_spec` (shape and type of the result).
    """

    # Type of the Input that a Sequential makes for such a layer when it comes first.
    host_input_dtype = "string"

    def host_call(self, inputs: Any) -> Array:
        """The result for arrays, lists or plain values."""
        raise NotImplementedError

    def host_spec(self, shapes: list[tuple[int | None, ...]]) -> Spec:
        """Shape (None for unknown sizes) and type of the result for the shapes of the inputs."""
        raise NotImplementedError

    def runs_on_host(self) -> bool:
        """Whether the layer works in Python; some do only with some arguments."""
        return True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to arrays, or record it behind an `Input`.

        Raises:
            UnsupportedError: the input is computed by the model.
        """
        if not self.runs_on_host():
            return super().__call__(inputs, *args, **kwargs)
        leaves = tree.flatten(inputs) if isinstance(inputs, (list, tuple, dict)) else [inputs]
        symbolic = [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]
        if any(isinstance(leaf, TracedTensor) for leaf in leaves) or not all(map(_before_program, symbolic)):
            raise UnsupportedError(
                f"{type(self).__name__} {self.name!r} works in Python on the data and cannot read what the model "
                f"computes",
                needed="an Input of the model, or another layer that works on the data",
                fix="put it right behind the Input, or apply it to the data first: x = layer(x); then train on x",
            )
        if not symbolic:
            return self.host_call(inputs)
        self.built = True
        shape, dtype = self.host_spec([tensor.shape for tensor in symbolic])
        count = len(self._inbound_nodes)
        output = SymbolicTensor(shape, dtype, name=f"{self.name}_{count}" if count else self.name)
        Node(self, (inputs,), {}, output)
        return output

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of the result for a shape of the input."""
        if not self.runs_on_host():
            return super().compute_output_shape(*args, **kwargs)
        given = args[0] if args else next(iter(kwargs.values()))
        several = bool(given) and isinstance(given[0], (list, tuple))
        return self.host_spec([tuple(shape) for shape in (given if several else [given])])[0]


def _before_program(tensor: SymbolicTensor) -> bool:
    """Whether the tensor is there before the native program runs."""
    node = origin(tensor)
    if node is None:
        return False
    made = node.operation
    return isinstance(made, InputLayer) or (isinstance(made, HostLayer) and made.runs_on_host())


def text_array(layer: Layer, inputs: Any) -> Array:
    """Strings as an array of `str` objects; bytes are decoded.

    Raises:
        DtypeError: they are no strings.
    """
    values = np.asarray(inputs)
    if values.dtype.kind == "U" or (values.dtype.kind == "O" and all(type(v) is str for v in values.ravel())):
        return values.astype(object)
    if values.dtype.kind in "SO" and all(isinstance(v, (str, bytes)) for v in values.ravel()):
        flat = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values.ravel()]
        return object_array(flat, values.shape)
    if not values.size:
        return values.astype(object)
    raise DtypeError(
        f"{type(layer).__name__} {layer.name!r} takes strings",
        got=f"{values.dtype} of shape {values.shape}" if values.dtype != object else repr(values.ravel()[0]),
        fix="convert the numbers: x.astype(str), or use the layer for integers",
    )


def object_array(flat: list[Any], shape: tuple[int, ...]) -> Array:
    """An array of Python objects."""
    made = np.empty(len(flat), object)
    made[:] = flat
    return made.reshape(shape)


def adapt_batches(data: Any, steps: int | None = None) -> Iterator[Any]:
    """What `adapt` was given, batch by batch: one array or list, or an iterable of batches or a `PyDataset`.

    Inputs are the first of a batch that is a tuple.  At most `steps` batches are read, so a generator may be endless.
    """
    from kgraph.utils.dataset import PyDataset

    if isinstance(data, PyDataset):
        dataset, count = data, data.num_batches
        data = (dataset[index] for index in range(count if count is not None else steps or 0))
    elif isinstance(data, (str, bytes)) or not hasattr(data, "__iter__") or hasattr(data, "__array__"):
        data = [np.asarray(data)]
    elif isinstance(data, (list, tuple)) and not any(isinstance(item, np.ndarray) for item in data):
        data = [data]
    for batch in islice(data, steps):
        yield batch[0] if isinstance(batch, tuple) else batch


def encode_on_host(ids: Array, mode: str, depth: int, dtype: str) -> Array:
    """Vectors of `depth` for an array of indices, as `one_hot`, `multi_hot` or `count`; others than 0..depth-1 are left
    out.
    """
    ids = np.atleast_1d(ids)
    if mode == "one_hot":
        if ids.ndim > 1 and ids.shape[-1] == 1:
            ids = ids[..., 0]
        vectors: Array = (ids[..., None] == np.arange(depth)).astype(dtype)
        return vectors
    axis = 1 if ids.ndim > 1 else 0
    rows = np.moveaxis(ids, axis, -1)
    counts: Array = np.zeros((*rows.shape[:-1], depth), dtype).reshape(-1, depth)
    flat = rows.reshape(-1, rows.shape[-1]) if rows.size else np.zeros((len(counts), 0), int)
    place, column = np.nonzero((flat >= 0) & (flat < depth))
    np.add.at(counts, (place, flat[place, column]), 1)
    if mode == "multi_hot":
        counts = np.minimum(counts, 1)
    return counts.reshape(*rows.shape[:-1], depth)


def encoded_shape(shape: tuple[int | None, ...], mode: str, depth: int | None) -> tuple[int | None, ...]:
    """Shape of what the modes of `encode_on_host` (and "int") give for indices of a shape."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def normal_salt(layer: Layer, salt: Any) -> list[int] | None:
    """The argument `salt`: None, or two numbers; one number stands for both.

    Raises:
        InvalidArgumentError: something else.
    """
    if salt is None:
        return None
    if isinstance(salt, int) and not isinstance(salt, bool):
        return [salt, salt]
    if not isinstance(salt, (list, tuple)) or len(salt) != 2 or not all(isinstance(part, int) for part in salt):
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `salt` is {salt!r}", needed="a whole number, or two", where=layer.name
        )
    return list(salt)
