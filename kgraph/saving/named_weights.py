"""The weights of a model by the paths of its variables, as `.safetensors` files keep them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.core.variable import Variable
from kgraph.errors import DataError, DtypeError, FileError, KGraphError, ShapeError
from kgraph.models.model import Model
from kgraph.saving.safetensors import StoredTensor, read_header, read_tensor, write_tensors

__all__ = ["load_safetensors_model", "load_safetensors_weights", "named_variables", "save_safetensors"]

# Keys of the metadata: the order of the weights in their model, and the model's description where it was asked for.
ORDER, CONFIG = "kgraph.order", "kgraph.config"


def named_variables(model: Model) -> dict[str, Variable]:
    """All weights by path; equal paths are told apart by a number."""
    named: dict[str, Variable] = {}
    for variable in model.weights:
        name, count = variable.path, 1
        while name in named:
            name, count = f"{variable.path}_{count}", count + 1
        named[name] = variable
    return named


def save_safetensors(model: Model, path: Path, overwrite: bool, config: bool = False) -> None:
    """Write all weights; `config` puts the model's description into the metadata, so that a model can be made of it."""
    from kgraph import __version__

    named = named_variables(model)
    metadata = {"format": "kgraph", "kgraph_version": __version__, ORDER: json.dumps(list(named))}
    if config:
        metadata[CONFIG] = model.to_json()
    arrays = {name: variable.array for name, variable in named.items()}
    write_tensors(path, arrays, metadata, overwrite, f"the weights of model {model.name!r}")


def load_safetensors_model(path: Path) -> Model:
    """The model of a file whose metadata describe it, as `kgraph convert` writes them.

    Raises:
        FileError: they do not.
    """
    from kgraph.saving.files import model_from_json
    from kgraph.saving.limits import weight_limit

    stored, metadata = read_header(path)
    if CONFIG not in metadata:
        raise FileError(
            f"the file {path.name} holds weights only",
            fix="make the model by its script, then model.load_weights(...)",
        )
    with weight_limit(sum(int(np.prod(one.shape, dtype=object)) for one in stored.values()), path.name):
        model = model_from_json(metadata[CONFIG])
    if model.built:
        load_safetensors_weights(model, path, False, False)
    return model


def load_safetensors_weights(model: Model, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    """Set the weights that a file names.

    Names are the paths of the variables.  Automatic names count on in one session; where the names of a file of kgraph
    differ, its weights are taken in their order.

    Args:
        model: a built model.
        path: the file.
        skip_mismatch: leave out what the file lacks, and what has another shape, with a warning.
        by_name: take what has the same name, and leave the rest alone.

    Raises:
        DataError, ShapeError, DtypeError: the file does not fit; nothing was changed.
        FileError: it is damaged.
    """
    stored, metadata = read_header(path)
    named = named_variables(model)
    if not by_name and set(named) != set(stored):
        stored = _by_order(named, stored, metadata) or stored
    missing = [name for name in named if name not in stored]
    extra = [name for name in stored if name not in named]
    if (missing or extra) and not by_name and not skip_mismatch:
        raise DataError(
            f"the file {path.name} does not fit model {model.name!r}",
            got=_list(extra, "names that the model has not") or f"{len(stored)} tensors",
            needed=_list(missing, "names that the file has not"),
            fix="load_weights(..., by_name=True) takes the weights that have the same name",
        )
    if missing and skip_mismatch and not by_name:
        warnings.warn(f"{path.name}: weights it does not hold were left alone: {', '.join(missing[:8])}", stacklevel=4)
    found = [
        (variable, stored[name])
        for name, variable in named.items()
        if name in stored and _fits(variable, stored[name], path, skip_mismatch)
    ]
    values = [(variable, _as_type(variable, read_tensor(path, one), path)) for variable, one in found]
    for variable, value in values:
        variable.assign(value)


def _list(names: Sequence[str], what: str) -> str:
    return f"{what}: {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}" if names else ""


def _by_order(
    named: Mapping[str, Variable], stored: Mapping[str, StoredTensor], metadata: Mapping[str, str]
) -> dict[str, StoredTensor] | None:
    """The tensors of a file of kgraph under the model's names, where all shapes agree in order."""
    try:
        order = json.loads(metadata.get(ORDER, "null"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(order, list) or len(order) != len(named) or len(order) != len(stored):
        return None
    if any(not isinstance(name, str) or name not in stored for name in order) or len(set(order)) != len(order):
        return None
    pairs = {mine: stored[theirs] for mine, theirs in zip(named, order)}
    last = all(mine.split("/")[-1] == one.name.split("/")[-1] for mine, one in pairs.items())
    return pairs if last and all(named[mine].shape == one.shape for mine, one in pairs.items()) else None


def _fits(variable: Variable, stored: StoredTensor, path: Path, skip_mismatch: bool) -> bool:
    error: KGraphError | None = None
    if stored.shape != variable.shape:
        error = ShapeError(
            f"the file {path.name} does not fit the model",
            where=f"tensor {stored.name!r}",
            got=str(stored.shape),
            needed=f"{variable.shape} for {variable.path}",
        )
    elif (stored.kind in "iu") != (variable.array.dtype.kind in "iu") or (stored.kind == "b") != (
        variable.array.dtype.kind == "b"
    ):
        error = DtypeError(
            f"the file {path.name} does not fit the model",
            where=f"tensor {stored.name!r}",
            got=stored.dtype,
            needed=f"{variable.dtype} for {variable.path}",
        )
    if error is not None and not skip_mismatch:
        raise error
    if error is not None:
        warnings.warn(f"{path.name}: {stored.name!r} was left out: {error.got}, not {error.needed}", stacklevel=5)
    return error is None


def _as_type(variable: Variable, value: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        result = value.astype(variable.array.dtype)
    if value.dtype.kind in "iu" and not np.array_equal(result, value):
        raise DataError(
            f"the file {path.name} holds a number that {variable.path} cannot hold",
            needed=f"values of {variable.dtype}",
        )
    return result
