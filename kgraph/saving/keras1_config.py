"""Configurations of layers of Keras 1: classes, regularisers and constraints by their names then, and arguments."""

from __future__ import annotations

from typing import Any

from kgraph.core.keras1 import modern_arguments
from kgraph.errors import UnsupportedError

__all__ = ["keras1_layer"]

_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
_MERGES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum", "dot": "Dot"}
# Settings of `Merge`, of which a layer of today has some or none.
_MERGE_SETTINGS = frozenset(
    "mode mode_type concat_axis dot_axes output_shape output_shape_type output_mask output_mask_type arguments".split()
)
_RECURRENT = ("LSTM", "GRU", "SimpleRNN")


def keras1_layer(name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class and settings of today for those of Keras 1.

    Raises:
        UnsupportedError: there is no such layer any more; the message names what to use.
    """
    from kgraph import layers
    from kgraph.layers.keras1 import lookup

    config = {key: _named(value) for key, value in config.items()}
    if name == "Merge":
        return _merge(config)
    made = _CLASSES.get(name, name)
    if made == name:
        lookup(name)  # says what to use for those that are gone
    if name == "Deconvolution2D":
        config.pop("output_shape", None)
    if made != "Embedding":
        config.pop("input_dim", None)  # the shape of the batch stands beside it
    if made in _RECURRENT or made in ("Embedding", "Conv1D", "Dense"):
        config.pop("input_length", None)
    for key in ("create_input_layer", "batch_input_dtype"):
        config.pop(key, None)
    if not layers._REGISTRY.has(made):
        return made, config  # a class of the user's, or one that is not known
    cls = layers._REGISTRY.lookup(made)
    if "input_dtype" in config and made != "InputLayer":
        config.pop("input_dtype")
    maker = next(base for base in cls.__mro__ if "__init__" in vars(base))
    return made, modern_arguments(cls, maker, (), config)[1]


def _named(value: Any) -> Any:
    """Regularisers and constraints: {name, settings} then, {class_name, config} now."""
    if not isinstance(value, dict) or "name" not in value or "class_name" in value:
        return value
    settings = {key: item for key, item in value.items() if key != "name"}
    if value["name"] in ("WeightRegularizer", "L1L2Regularizer", "ActivityRegularizer"):
        return {"class_name": "L1L2", "config": {key: settings.get(key, 0.0) for key in ("l1", "l2")}}
    if value["name"] == "MaxNorm":
        return {"class_name": "MaxNorm", "config": {"max_value": settings.get("m", 2), "axis": settings.get("axis", 0)}}
    if value["name"] in ("NonNeg", "UnitNorm"):
        return {"class_name": value["name"], "config": settings}
    return value


def _merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode")
    if "layers" in config or mode not in (*_MERGES, "cos"):
        raise UnsupportedError(
            f"layer {config.get('name')!r} of the file is a Merge of Keras 1 that there is no layer for",
            got="models to merge" if "layers" in config else f"mode={mode!r}",
            fix="make the model by its script with Add, Concatenate or Lambda, then load_weights(...)",
        )
    kept = {key: value for key, value in config.items() if key not in _MERGE_SETTINGS}
    if mode == "concat":
        kept["axis"] = config.get("concat_axis", -1)
    elif mode in ("dot", "cos"):
        kept.update(axes=config.get("dot_axes", -1), normalize=mode == "cos")
    return _MERGES.get(str(mode), "Dot"), kept
