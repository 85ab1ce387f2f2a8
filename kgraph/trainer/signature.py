"""What a compiled step depends on beside the model: the types of what is fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kgraph.ir.dims import Dim, Shape

__all__ = ["DataForm", "Signature", "signature_of", "target_name", "weight_name"]

Array = np.ndarray[Any, np.dtype[Any]]
Leaf = tuple[str, Shape, str]


@dataclass(frozen=True)
class DataForm:
    """The form of what a step of the user's own is given as `data`.

    Attributes:
        leaves: (name of the graph input, sizes after the batch, dtype), in order.
        structure: `data` with the names in place of the arrays.
        key: its text, by which forms are compared.
    """

    leaves: tuple[Leaf, ...]
    structure: Any = field(compare=False)
    key: str = ""


@dataclass(frozen=True)
class Signature:
    """Types of what is fed beside the inputs: (output name, sizes after the batch, dtype).

    Attributes:
        targets: one for each output with a target.
        weights: one for each output with sample weights.
        data: for steps of the user's own, the form of all that is fed; targets and weights are empty then.
    """

    targets: tuple[Leaf, ...] = ()
    weights: tuple[Leaf, ...] = ()
    data: DataForm | None = None


def target_name(output: str) -> str:
    """Name of the graph input for the target of an output."""
    return f"y/{output}"


def weight_name(output: str) -> str:
    """Name of the graph input for the sample weights of an output."""
    return f"sample_weight/{output}"


def signature_of(outputs: Mapping[str, Shape], targets: Mapping[str, Array], weights: Mapping[str, Array]) -> Signature:
    """The signature of given arrays.

    Args:
        outputs: symbolic sizes of each output, to tell which sizes of a target vary with the data.
        targets: arrays by output name.
        weights: arrays by output name.
    """

    def entries(arrays: Mapping[str, Array]) -> tuple[Leaf, ...]:
        return tuple((name, _tail(outputs[name], array), array.dtype.name) for name, array in arrays.items())

    return Signature(entries(targets), entries(weights))


def _tail(output: Shape, array: Array) -> Shape:
    """Sizes after the batch: symbolic where the output's size at that axis is."""
    return tuple(
        output[axis] if axis < len(output) and isinstance(output[axis], Dim) else int(array.shape[axis])
        for axis in range(1, array.ndim)
    )
