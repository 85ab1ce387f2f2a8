"""`.h5` files as Keras 2 wrote them (and Keras 3 still does): whole models, and weights by layer names."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.core.layer import Layer
from kgraph.core.variable import Variable
from kgraph.errors import DataError, FileError, InvalidArgumentError, KGraphError, ShapeError
from kgraph.models.model import Model
from kgraph.saving.compiling import restore_optimizer, restore_resume_values, resume_values
from kgraph.saving.legacy_config import legacy, modern
from kgraph.saving.legacy_weights import Era, todays_form
from kgraph.saving.limits import check_description, stored_elements, weight_limit
from kgraph.saving.objects import deserialize_keras_object, serialize_keras_object
from kgraph.saving.safety import atomic_file, child_group, open_hdf5, read_array, stored_array
from kgraph.saving.state import Found, largest_array, layers_in_order, read_list, write_list

__all__ = ["load_h5", "load_h5_weights", "read_h5_config", "save_h5", "save_h5_weights"]

KERAS_VERSION = "3.15.1"
# Bytes: HDF5 keeps no longer attribute.
ATTRIBUTE_LIMIT = 64512
OWN = "_kgraph/seed_step"


def legacy_weights(layer: Layer) -> list[Variable]:
    """Weights in the order of these files: all trainable ones before the others."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


# -- writing ----------------------------------------------------------------------------------------------------------
def save_h5(model: Model, path: Path, overwrite: bool, include_optimizer: bool) -> None:
    """Write a whole model."""
    import h5py

    config = legacy(serialize_keras_object(model))
    training = _training_config(model) if include_optimizer else None
    with atomic_file(path, overwrite, f"model {model.name!r}") as temporary:
        with h5py.File(temporary, "w") as file:
            _write_json(file, "model_config", config)
            file.attrs["keras_version"] = KERAS_VERSION
            file.attrs["backend"] = "jax"
            _write_layers(file.create_group("model_weights"), model)
            if training is not None:
                _write_json(file, "training_config", training)
                _write_arrays(file.create_group("optimizer_weights"), model.optimizer.variables)
                write_list(file, OWN, resume_values(model), "seed_step")


def save_h5_weights(model: Model, path: Path, overwrite: bool) -> None:
    """Write the weights alone."""
    import h5py

    with atomic_file(path, overwrite, f"the weights of model {model.name!r}") as temporary:
        with h5py.File(temporary, "w") as file:
            _write_layers(file, model)


def _write_json(file: Any, key: str, value: Any) -> None:
    import h5py

    # Longer texts than an attribute holds go to the dense storage of newer files, as h5py does by itself.
    file.attrs.create(key, json.dumps(value), dtype=h5py.string_dtype("utf-8"))


def _training_config(model: Model) -> dict[str, Any] | None:
    config = model.get_compile_config()
    if not config:
        return None
    optimizer = config.pop("optimizer")
    result = {key: _short(value) for key, value in config.items()}
    result["loss"] = _loss_name(config["loss"])
    result["optimizer_config"] = _short(optimizer)
    return result


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "function":
            return value["config"]
        if "class_name" in value and "module" in value and value["class_name"] != "DTypePolicy":
            return {"class_name": value["class_name"], "config": value["config"]}
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else value


def _loss_name(value: Any) -> Any:
    """Full names of losses: Keras 3 cannot read short ones such as "mse" here."""
    if isinstance(value, list):
        return [_loss_name(item) for item in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _loss_name(item) for key, item in value.items()}
    if isinstance(value, str):
        from kgraph import losses

        try:
            found = losses._REGISTRY.lookup(value)
        except KGraphError:
            return value
        return getattr(found, "__name__", value)
    return _short(value)


def _write_layers(group: Any, model: Model) -> None:
    layers = model.layers
    if model._symbolic_losses:
        layers = layers_in_order(model)
    elif model._graph is not None and type(model).__name__ != "Sequential":
        layers = model._graph.layers
    _write_names(group, "layer_names", [layer.name for layer in layers])
    group.attrs["backend"] = "jax"
    group.attrs["keras_version"] = KERAS_VERSION
    for layer in sorted(layers, key=lambda one: one.name):
        _write_arrays(group.create_group(layer.name), legacy_weights(layer))
    own = model._direct_weights()
    _write_arrays(group.create_group("top_level_model_weights"), own)


def _write_arrays(group: Any, variables: Sequence[Variable]) -> None:
    names: list[str] = []
    for variable in variables:
        name, count = variable.path, 1
        while name in names or any(one.startswith(f"{name}/") or name.startswith(f"{one}/") for one in names):
            name, count = f"{variable.path}_{count}", count + 1
        names.append(name)
        group.create_dataset(name, data=variable.array)
    _write_names(group, "weight_names", names)


def _write_names(group: Any, key: str, names: Sequence[str]) -> None:
    encoded = np.array([name.encode("utf-8") for name in names]) if names else np.array([], "S1")
    parts = max(1, -(-encoded.nbytes // ATTRIBUTE_LIMIT))
    if parts == 1:
        group.attrs[key] = encoded
        return
    for index, part in enumerate(np.array_split(encoded, parts + 1)):
        group.attrs[f"{key}{index}"] = part


# -- reading ----------------------------------------------------------------------------------------------------------
def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _attribute(group: Any, key: str) -> Any:
    return _text(group.attrs[key]) if key in group.attrs else None


def _names(group: Any, key: str) -> list[str]:
    if key in group.attrs:
        parts = [group.attrs[key]]
    else:
        parts = []
        while f"{key}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{key}{len(parts)}"])
    return [str(_text(name)) for part in parts for name in np.asarray(part).ravel().tolist()]


def _json(file: Any, key: str, name: str) -> Any:
    text = _attribute(file, key)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileError(f"the file {name} is damaged: {key} is no JSON", got=str(error)[:200]) from None


def read_h5_config(path: Path) -> dict[str, Any]:
    """The description of the model in a file, as kgraph reads it.

    Raises:
        FileError: there is none.
    """
    with open_hdf5(path, path.name) as file:
        return _config(file, path)


def _config(file: Any, path: Path) -> dict[str, Any]:
    config = _json(file, "model_config", path.name)
    if config is None:
        weights = "layer_names" in file.attrs or "layer_names0" in file.attrs
        raise FileError(
            f"the file {path.name} holds no model" + (", only weights" if weights else ""),
            needed="an attribute model_config",
            fix="make the model by its script, then load_weights(...)" if weights else "",
        )
    version = _attribute(file, "keras_version") or _attribute(file.get("model_weights") or file, "keras_version") or "1"
    check_description(config, path.name)
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(f"the file {path.name} is damaged: model_config describes no model")
    result: dict[str, Any] = modern(config, str(version))
    return result


def load_h5(path: Path, compile: bool) -> Model:
    """The model of a file; custom objects and safe mode are those around the call."""
    with open_hdf5(path, path.name) as file:
        group = child_group(file, "model_weights", path.name)
        with weight_limit(0 if group is None else stored_elements(group), path.name):
            model = deserialize_keras_object(_config(file, path))
        if not isinstance(model, Model):
            raise FileError(f"the file {path.name} holds no model", got=type(model).__name__)
        if group is not None and model.built:
            for variable, value in _by_order(group, model, path.name, False):
                variable.assign(value)
        training = _json(file, "training_config", path.name) if compile else None
        if training:
            _compile(model, training, path.name)
            stored = child_group(file, "optimizer_weights", path.name)
            if stored is not None and model.optimizer is not None:
                values = _group_arrays(stored, path.name, largest_array(model))
                if _era(file).version in ("1", "2"):
                    values = _modern_slots(model, values)
                restore_optimizer(model, values, path.name)
            restore_resume_values(model, read_list(file, OWN, path.name))
    return model


def _compile(model: Model, training: Mapping[str, Any], name: str) -> None:
    optimizer = training.get("optimizer_config")
    given = {key: training.get(key) for key in ("loss", "metrics", "weighted_metrics", "loss_weights")}
    if not optimizer:
        return
    config = dict(optimizer.get("config") or {})
    for key in ("learning_rate", "lr"):
        if isinstance(config.get(key), Mapping) and "value" in config[key]:
            config[key] = config[key]["value"]
    values = {key: _loss_or_metric(value) for key, value in given.items() if value is not None}
    made = deserialize_keras_object({"class_name": str(optimizer["class_name"]), "config": config})
    try:
        model.compile(optimizer=made, **values)
    except InvalidArgumentError as error:
        warnings.warn(f"the model in {name} was not compiled as the file says: {error.message}", stacklevel=4)


def _loss_or_metric(value: Any) -> Any:
    if isinstance(value, list):
        return [_loss_or_metric(item) for item in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _loss_or_metric(item) for key, item in value.items()}
    return deserialize_keras_object(value)


def _modern_slots(model: Model, values: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """State of a Keras 2 optimizer in our order: Keras 2 keeps each kind of slot for all weights, then the next."""
    optimizer: Any = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    shapes = [variable.shape for variable in model.trainable_variables]
    fresh = [np.asarray(variable.array) for variable in optimizer.variables]
    head = next((i for i, value in enumerate(fresh) if value.ndim), len(fresh))
    slots = values[1:] if values and values[0].ndim == 0 else values
    while shapes and len(slots) >= len(shapes) and len(slots) > len(fresh) - head:
        if any(value.shape != (1,) for value in slots[-len(shapes) :]):
            break
        slots = slots[: -len(shapes)]  # unused vhats of Adam
    kinds = len(slots) // len(shapes) if shapes else 0
    if not kinds or kinds * len(shapes) != len(slots):
        return values
    order = [slots[kind * len(shapes) + index] for index in range(len(shapes)) for kind in range(kinds)]
    if values[0].ndim == 0:
        fresh[0] = values[0]
    return [*fresh[:head], *order]


def _group_arrays(group: Any, name: str, largest: int) -> list[np.ndarray[Any, Any]]:
    found = [stored_array(group, key, name) for key in _names(group, "weight_names")]
    for dataset in found:
        if dataset.nbytes > largest:
            raise FileError(f"the file {name} has too large an array", where=str(dataset.name))
    return [read_array(dataset, name) for dataset in found]


def load_h5_weights(model: Model, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    """Weights of a file into a model, layer by layer in order, or by the names of layers.

    Raises:
        DataError, ShapeError: they do not fit; nothing was changed.
    """
    with open_hdf5(path, path.name) as file:
        group = file
        if "layer_names" not in file.attrs and "layer_names0" not in file.attrs:
            group = child_group(file, "model_weights", path.name)
            if group is None:
                raise FileError(
                    f"the file {path.name} holds no weights in the form of Keras 2",
                    fix="files of Keras 3's save_weights end in .weights.h5" if "layers" in file else "",
                )
        take = _by_name if by_name else _by_order
        found = take(group, model, path.name, skip_mismatch)
    for variable, value in found:
        variable.assign(value)


def _stored_layers(group: Any, name: str) -> list[tuple[str, list[Any]]]:
    """(layer, unread arrays) for each layer of a file with weights."""
    stored = []
    for layer in _names(group, "layer_names"):
        below = child_group(group, layer, name)
        if below is None:
            raise FileError(f"the file {name} is damaged: layer {layer!r} is named, but not there")
        arrays = [stored_array(below, key, name) for key in _names(below, "weight_names")]
        if arrays:
            stored.append((layer, arrays))
    return stored


def _era(group: Any) -> Era:
    """Files of Keras 1 before 1.1 say nothing."""
    version = str(_attribute(group, "keras_version") or _attribute(group.file, "keras_version") or "1")
    return Era(version.partition(".")[0], str(_attribute(group, "backend") or _attribute(group.file, "backend") or ""))


def _by_order(group: Any, model: Model, name: str, skip_mismatch: bool) -> Found:
    layers = [layer for layer in layers_in_order(model) if layer.weights]
    stored = _stored_layers(group, name)
    if len(stored) != len(layers):
        raise DataError(
            f"the file {name} does not fit model {model.name!r}",
            got=f"{len(stored)} layers with weights: " + ", ".join(one for one, _ in stored[:8]),
            needed=f"{len(layers)}: " + ", ".join(layer.name for layer in layers[:8]),
            fix="load_weights(..., by_name=True) takes the layers that have the same name",
        )
    found: Found = []
    era = _era(group)
    for layer, (label, arrays) in zip(layers, stored):
        weights = legacy_weights(layer)
        found += _fitted(
            layer.name, weights, label, todays_form(layer, weights, arrays, era, name), name, skip_mismatch
        )
    top = child_group(group, "top_level_model_weights", name)
    own = model._direct_weights()
    if top is not None and own:
        arrays = [stored_array(top, key, name) for key in _names(top, "weight_names")]
        found += _fitted(model.name, own, "top_level_model_weights", arrays, name, skip_mismatch)
    return found


def _by_name(group: Any, model: Model, name: str, skip_mismatch: bool) -> Found:
    layers = {layer.name: layer for layer in model.layers}
    found: Found = []
    era = _era(group)
    for label, arrays in _stored_layers(group, name):
        if label in layers:
            weights = legacy_weights(layers[label])
            arrays = todays_form(layers[label], weights, arrays, era, name)
            found += _fitted(label, weights, label, arrays, name, skip_mismatch)
    return found


def _fitted(
    layer: str, variables: Sequence[Variable], label: str, arrays: Sequence[Any], name: str, skip_mismatch: bool
) -> Found:
    where = f"layer {layer!r}, in the file {label!r}"
    if len(arrays) != len(variables):
        if skip_mismatch:
            warnings.warn(f"{name}: weights of {where} were left out: other counts", stacklevel=5)
            return []
        raise DataError(
            f"the file {name} does not fit the model",
            where=where,
            got=f"{len(arrays)} arrays",
            needed=f"{len(variables)}: " + ", ".join(f"{v.path} {v.shape}" for v in variables),
        )
    found: Found = []
    for variable, dataset in zip(variables, arrays):
        if dataset.shape == variable.shape:
            found.append((variable, read_array(dataset, name)))
        elif skip_mismatch:
            warnings.warn(f"{name}: {dataset.name} of {where} was left out: other shape", stacklevel=5)
        else:
            raise ShapeError(
                f"the file {name} does not fit the model",
                where=where,
                got=f"{dataset.name} {dataset.shape}",
                needed=f"{variable.shape} for {variable.path}",
            )
    return found
