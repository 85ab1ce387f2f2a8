"""`.keras` archives: a zip of `metadata.json`, `config.json` and `model.weights.h5`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from kgraph.errors import FileError
from kgraph.models.model import Model
from kgraph.saving.assets import collect_assets, read_assets
from kgraph.saving.compiling import restore_optimizer, restore_resume_values, resume_values
from kgraph.saving.limits import check_description, stored_elements, weight_limit
from kgraph.saving.objects import deserialize_keras_object, serialize_keras_object
from kgraph.saving.safety import atomic_file, member, open_archive, open_hdf5
from kgraph.saving.state import largest_array, read_list, read_own_stores, read_weights, write_list, write_weights

__all__ = ["load_archive", "load_archive_weights", "read_config", "save_archive"]

# The version of the format that is written.
KERAS_VERSION = "3.15.1"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Where kgraph keeps what Keras does not know; readers of Keras pass it by.
OWN = "_kgraph/seed_step"


def save_archive(model: Model, path: Path, overwrite: bool = True, include_optimizer: bool = True) -> None:
    """Write model, weights and state of training."""
    import h5py

    description = serialize_keras_object(model)
    description.setdefault("compile_config", {})
    if not include_optimizer:
        description["compile_config"] = {}
    config = json.dumps(description)
    metadata = json.dumps({"keras_version": KERAS_VERSION, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")})
    assets = collect_assets(model)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        write_weights(file, model)
        if include_optimizer and model.optimizer is not None:
            write_list(file, "optimizer", [v.array for v in model.optimizer.variables], model.optimizer.name)
            write_list(file, OWN, resume_values(model), "seed_step")
    with atomic_file(path, overwrite, f"model {model.name!r}") as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(METADATA, metadata)
            archive.writestr(CONFIG, config)
            archive.writestr(WEIGHTS, memory.getbuffer())
            for name, data in assets:
                archive.writestr(name, data)


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of an archive.

    Raises:
        FileError: it is missing or no JSON object.
    """
    with open_archive(path) as archive:
        text = member(archive, CONFIG, path)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"the file {path.name} is damaged: {CONFIG} is no JSON", got=str(error)[:200]) from None
    check_description(config, path.name)
    if not isinstance(config, Mapping) or "class_name" not in config or "config" not in config:
        raise FileError(f"the file {path.name} is no Keras model: {CONFIG} describes none")
    return dict(config)


def load_archive(path: Path, compile: bool) -> Model:
    """The model of an archive; custom objects and safe mode are those around the call."""
    config = read_config(path)
    compiled = config.pop("compile_config", None)
    with open_archive(path) as archive:
        if WEIGHTS not in archive.namelist() and "model.weights.npz" in archive.namelist():
            raise FileError(f"the file {path.name} keeps its weights as .npz", fix="save it with Keras as .h5")
        data = member(archive, WEIGHTS, path)
        with open_hdf5(io.BytesIO(data), f"{path.name}/{WEIGHTS}") as file:
            with weight_limit(stored_elements(file), path.name):
                model = deserialize_keras_object(config)
            if not isinstance(model, Model):
                raise FileError(f"the file {path.name} holds no model", got=type(model).__name__)
            read_own_stores(file, model, path.name)
            read_assets(archive, model, path)
            if compile and compiled:
                model.compile_from_config(compiled)
            _load_state(file, model, path)
    return model


def _load_state(file: Any, model: Model, path: Path) -> None:
    if model.built:
        for variable, value in read_weights(file, model, path.name):
            variable.assign(value)
    elif len(read_list(file, "", path.name)) or ("layers" in file and _has_arrays(file["layers"])):
        raise FileError(f"the shapes of model {model.name!r} in {path.name} are not known", fix="save it built")
    restore_optimizer(model, read_list(file, "optimizer", path.name, largest_array(model)), path.name)
    restore_resume_values(model, read_list(file, OWN, path.name))


def _has_arrays(group: Any) -> bool:
    import h5py

    def is_weight(name: str, item: Any) -> bool | None:
        # Weights are numbered; what else there is belongs to layers that read it themselves.
        return True if isinstance(item, h5py.Dataset) and name.rpartition("/")[2].isdigit() else None

    return bool(group.visititems(is_weight))


def load_archive_weights(model: Model, path: Path, skip_mismatch: bool) -> None:
    """Only the weights of an archive, into a model that is there."""
    with open_archive(path) as archive:
        data = member(archive, WEIGHTS, path)
    with open_hdf5(io.BytesIO(data), f"{path.name}/{WEIGHTS}") as file:
        found = read_weights(file, model, path.name, skip_mismatch)
    for variable, value in found:
        variable.assign(value)
