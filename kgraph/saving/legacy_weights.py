"""Weights of layers as Keras 1, Theano and CuDNN kept them, in today's form.

Keras 1 had one array per gate (LSTM i, c, f, o; GRU z, r, h, each kernel, recurrent kernel, bias) and kernels of
convolutions with the filters in front for "channels_first".  Theano turns kernels round.  CuDNN keeps each gate's
kernel transposed and two rows of biases, which add up.  Today's LSTM has the gates i, f, c, o in one array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgraph.core.layer import Layer
from kgraph.core.variable import Variable
from kgraph.saving.safety import read_array

__all__ = ["Era", "todays_form"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Era:
    """Which Keras wrote a file, on which backend; "" where it is not said."""

    version: str = ""
    backend: str = ""


@dataclass(frozen=True)
class _Converted:
    """An array that stands for a dataset."""

    name: str
    value: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def __getitem__(self, key: Any) -> Array:
        return np.asarray(self.value[key])


def todays_form(layer: Layer, variables: Sequence[Variable], datasets: Sequence[Any], era: Era, file: str) -> Any:
    """The arrays of a layer in the form of `variables`; the datasets themselves where nothing is to be done.

    Args:
        layer: the layer.
        variables: its weights in the order of such files.
        datasets: unread arrays of the file.
        era: who wrote it.
        file: name, for messages.
    """
    same = [dataset.shape for dataset in datasets] == [variable.shape for variable in variables]
    if same and era.version != "1" and era.backend != "theano":
        return datasets
    size = sum(variable.array.size for variable in variables)
    if sum(dataset.size for dataset in datasets) > 2 * size:
        return datasets  # the caller says what does not fit, without reading it
    arrays = [read_array(dataset, file) for dataset in datasets]
    found = _converted(layer, arrays, era)
    if [array.shape for array in found] != [variable.shape for variable in variables]:
        return datasets
    return [_Converted(variable.path, array) for variable, array in zip(variables, found)]


def _converted(layer: Any, arrays: list[Array], era: Era) -> list[Array]:
    kind = type(layer).__name__
    if kind == "Bidirectional":
        half = len(arrays) // 2
        return [
            *_converted(layer.forward_layer, arrays[:half], era),
            *_converted(layer.backward_layer, arrays[half:], era),
        ]
    if kind == "TimeDistributed":
        return _converted(layer.layer, arrays, era)
    rule = _RULES.get(kind)
    return arrays if rule is None else rule(layer, arrays, era)


# -- recurrent layers -------------------------------------------------------------------------------------------------
def _gates(arrays: list[Array], order: Sequence[int]) -> list[Array]:
    """Kernel, recurrent kernel and bias from one triple for each gate."""
    return [np.concatenate([arrays[3 * gate + part] for gate in order], axis=-1) for part in range(3)]


def _lstm(layer: Any, arrays: list[Array], era: Era) -> list[Array]:
    if len(arrays) == 12:
        return _gates(arrays, (0, 2, 1, 3))
    if len(arrays) == 3 and arrays[2].shape == (8 * layer.units,):
        kernel, recurrent = _uncudnn(arrays, 4)
        return [kernel, recurrent, arrays[2].reshape(2, -1).sum(axis=0)]
    return arrays


def _gru(layer: Any, arrays: list[Array], era: Era) -> list[Array]:
    if len(arrays) == 9:
        return _gates(arrays, (0, 1, 2))
    if len(arrays) == 3 and arrays[2].shape == (6 * layer.units,) and layer.reset_after:
        kernel, recurrent = _uncudnn(arrays, 3)
        return [kernel, recurrent, arrays[2].reshape(2, -1)]
    return arrays


def _uncudnn(arrays: list[Array], gates: int) -> tuple[Array, Array]:
    if arrays[0].ndim != 2 or arrays[1].ndim != 2:
        return arrays[0], arrays[1]
    kernels = [part.reshape(part.shape[::-1]).T for part in np.split(arrays[0], gates, axis=1)]
    return np.hstack(kernels), np.hstack([part.T for part in np.split(arrays[1], gates, axis=1)])


# -- convolutions -----------------------------------------------------------------------------------------------------
def _convolution(layer: Any, arrays: list[Array], era: Era) -> list[Array]:
    """`(filters, channels, *sizes)` of Keras 1 to `(*sizes, channels, filters)`; Theano's kernels turned round."""
    kernel, *rest = arrays or [np.zeros(0)]
    rank = layer.rank
    transposed = type(layer).__name__.endswith("Transpose")
    if era.version == "1" and rank == 1 and kernel.ndim == 4:
        if kernel.shape[:2] != (layer.kernel_size[0], 1) or kernel.shape[3] != layer.filters:
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0]
    elif era.version == "1" and kernel.ndim == rank + 2:
        if layer.data_format == "channels_first":
            kernel = kernel.transpose(*range(2, rank + 2), *((0, 1) if transposed else (1, 0)))
        elif transposed:
            kernel = kernel.swapaxes(-1, -2)
    if era.backend == "theano":
        kernel = np.flip(kernel, tuple(range(rank)))
    return [np.ascontiguousarray(kernel), *rest]


_RULES: dict[str, Callable[[Any, list[Array], Era], list[Array]]] = {"LSTM": _lstm, "GRU": _gru}
_RULES.update(
    dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _convolution)
)
