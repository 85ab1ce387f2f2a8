"""Configurations of Keras 2 in terms of kgraph's classes."""

from __future__ import annotations

from typing import Any

from kgraph.errors import FileError
from kgraph.saving.keras1_config import keras1_layer

__all__ = ["legacy", "modern"]

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
_MODELS = ("Model", "Functional", "Network")
# CuDNN's layers computed one thing only; their weights are in another order, see `legacy_weights`.
_CUDNN = {
    "CuDNNLSTM": ("LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}),
    "CuDNNGRU": ("GRU", {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}),
}


def modern(config: Any, version: str = "") -> Any:
    """The description of a model or layer of Keras 2 (or of an `.h5` file of Keras 3) as kgraph reads it.

    Args:
        config: {class_name, config}, nested.
        version: of the Keras that wrote it; "" when not known.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        return config
    name, inner = config["class_name"], config.get("config")
    if not version and isinstance(inner, dict) and _looks_old(inner):
        version = "2"
    old = version.startswith(("1", "2"))
    result = dict(config)
    result.pop("backend", None)
    if isinstance(result.get("keras_version"), str):
        version = result.pop("keras_version")
        old = version.startswith(("1", "2"))
    if name in _MODELS and isinstance(inner, dict):
        result["class_name"] = "Functional"
        result["config"] = {**inner, "layers": [modern(layer, version) for layer in inner.get("layers", [])]}
    elif name == "Sequential":
        layers = inner if isinstance(inner, list) else inner.get("layers", []) if isinstance(inner, dict) else None
        if not isinstance(layers, list):
            raise FileError("the configuration of a Sequential has no layers", got=repr(inner)[:200])
        kept = dict(inner) if isinstance(inner, dict) else {}
        result["config"] = {**kept, "layers": [modern(layer, version) for layer in layers]}
    elif isinstance(inner, dict):
        inner = dict(inner)
        if name in _CUDNN:
            name, settings = _CUDNN[name]
            inner.update(settings)
        if version.startswith("1"):
            name, inner = keras1_layer(str(name), inner)
        result["class_name"] = name
        result["config"] = _layer(str(name), inner, version, old)
    return result


def _looks_old(inner: dict[str, Any]) -> bool:
    """Whether `inbound_nodes` are lists, or layers carry their own input shape: Keras 2 without a version."""
    layers = inner.get("layers")
    if not isinstance(layers, list):
        return False
    nodes = [node for layer in layers if isinstance(layer, dict) for node in layer.get("inbound_nodes") or []]
    if any(isinstance(node, list) for node in nodes):
        return True
    configs = [layer.get("config") for layer in layers if isinstance(layer, dict)]
    return any(isinstance(one, dict) and "batch_input_shape" in one for one in configs)


def _layer(name: str, config: dict[str, Any], version: str, old: bool) -> dict[str, Any]:
    for key in ("layer", "backward_layer", "cell", "forward_layer"):
        if isinstance(config.get(key), dict):
            config[key] = modern(config[key], version)
    if isinstance(config.get("cells"), list):
        config["cells"] = [modern(cell, version) for cell in config["cells"]]
    if not old:
        return config
    if name in _RECURRENT:
        if config.get("recurrent_activation", "hard_sigmoid") == "hard_sigmoid" and "SimpleRNN" not in name:
            config["recurrent_activation"] = "keras2_hard_sigmoid"
        if name.startswith("GRU"):
            config.setdefault("reset_after", False)
        for key in ("time_major", "input_length", "implementation"):
            config.pop(key, None)
    for key in ("activation", "recurrent_activation"):
        if config.get(key) == "hard_sigmoid":
            config[key] = "keras2_hard_sigmoid"  # clip(0.2 x + 0.5, 0, 1): Keras 3 has x / 6 + 0.5
    if name == "BatchNormalization":
        axis = config.get("axis")
        if isinstance(axis, (list, tuple)) and len(axis) == 1:
            config["axis"] = axis[0]
        for key in ("renorm", "virtual_batch_size", "adjustment", "fused", "mode", "renorm_clipping"):
            config.pop(key, None)
        config.pop("renorm_momentum", None)
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = _number(config.pop("alpha"))
    for key in ("alpha", "theta", "negative_slope", "threshold", "max_value"):
        if isinstance(config.get(key), dict):
            config[key] = _number(config[key])
    if name == "Lambda":
        for key in ("function_type", "module", "output_shape_type", "output_shape_module", "mask_type"):
            config.pop(key, None)
        if config.get("output_shape") is None:
            config.pop("output_shape", None)
    if name == "Embedding":
        config.pop("input_length", None)
    return config


def _number(value: Any) -> Any:
    """Keras 2 wrote arrays of one number here."""
    if isinstance(value, dict) and "value" in value:
        return value["value"]
    return value


def legacy(description: Any) -> Any:
    """A description of Keras 3 in the form that its `.h5` files have: layers without module and build shapes."""
    if not isinstance(description, dict) or "class_name" not in description:
        return description
    if str(description.get("module")).startswith("keras.src.ops."):
        return description  # Keras finds operations by their module only
    inner = description.get("config")
    result = {"class_name": description["class_name"], "config": inner}
    for key in ("name", "inbound_nodes", "kgraph_add_loss"):
        if key in description:
            result[key] = description[key]
    if isinstance(inner, dict) and isinstance(inner.get("layers"), list):
        result["config"] = {**inner, "layers": [legacy(layer) for layer in inner["layers"]]}
    return result
