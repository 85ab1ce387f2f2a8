"""`load_model`, `save_model` and `load_weights`: the format follows from the end of the name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgraph.errors import FileError, InvalidArgumentError, KGraphError, NotBuiltError
from kgraph.models.model import Model
from kgraph.saving.functions import safe_mode_scope
from kgraph.saving.objects import custom_object_scope, deserialize_keras_object, serialize_keras_object
from kgraph.saving.safety import existing

__all__ = ["load_model", "load_weights", "model_from_json", "model_to_json", "save_model"]


def _format(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".weights.h5"):
        return "weights"
    return {".keras": "keras", ".h5": "h5", ".hdf5": "h5", ".safetensors": "safetensors"}.get(path.suffix.lower(), "")


def _unknown(path: Path, what: str, endings: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{what}: the end of the file's name says its format, and {path.suffix or 'none'!r} is unknown",
        got=f"filepath={path}",
        needed=endings,
        fix=_FIXES.get(path.suffix.lower(), "") if what.startswith("load") else f"write {path.stem}.keras",
    )


# What other programs keep models and weights in.
_FIXES = {
    ".npz": "write .weights.h5 or .safetensors; arrays of numpy.load go into a model with model.set_weights(list)",
    ".npy": "arrays of numpy.load go into a model with model.set_weights(list)",
    ".pb": "save it as .keras with the program that made it",
    ".onnx": "save it as .keras with the program that made it",
    ".pt": "save the weights as .safetensors with the program that made them",
    ".pth": "save the weights as .safetensors with the program that made them",
    ".ckpt": "save it as .weights.h5 with the program that made it",
    ".index": "save it as .weights.h5 with the program that made it",
}


def save_model(
    model: Model,
    filepath: Any,
    overwrite: bool = True,
    include_optimizer: bool = True,
    zipped: Any = None,
    **kwargs: Any,
) -> None:
    """Write a whole model: `.keras`, or `.h5` as Keras 2 did.  The file appears whole or not at all.

    Args:
        model: the model; its state of training is kept too.
        filepath: ends in `.keras`, `.h5` or `.hdf5`.
        overwrite: False refuses to replace a file.
        include_optimizer: False leaves out what `compile` was given.
        zipped: must be True or None.
        kwargs: `save_format` of Keras 2.

    Raises:
        InvalidArgumentError: the name has another end, or the file exists and `overwrite` is False.
        FileError: it cannot be written.
    """
    path = Path(filepath)
    if isinstance(overwrite, str):  # Keras 2's tf.keras took save_format there
        raise InvalidArgumentError("save(): overwrite is True or False", got=repr(overwrite))
    save_format = kwargs.pop("save_format", None)
    if kwargs:
        raise InvalidArgumentError(f"save() has no argument {next(iter(kwargs))!r}")
    kind = _format(path)
    if kind == "weights":
        raise InvalidArgumentError(
            "names that end in .weights.h5 are for weights", got=path.name, fix="call save_weights(), or save as .keras"
        )
    if kind == "safetensors":
        raise InvalidArgumentError(
            "names that end in .safetensors are for weights",
            got=path.name,
            fix="call save_weights(), or save as .keras",
        )
    if not kind and save_format in ("h5", "keras"):
        kind = str(save_format)
    if not kind or zipped is False:
        raise _unknown(path, "save()", ".keras, or .h5 for Keras 2")
    if not model.built:
        warnings.warn(f"model {model.name!r} is saved without weights: it is not built yet", stacklevel=3)
    if kind == "keras":
        from kgraph.saving.archive import save_archive

        save_archive(model, path, overwrite, include_optimizer)
    else:
        from kgraph.saving.legacy_h5 import save_h5

        save_h5(model, path, overwrite, include_optimizer)


def load_model(
    filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Model:
    """Read a whole model that kgraph or Keras wrote.

    Args:
        filepath: ends in `.keras`, `.h5` or `.hdf5`.
        custom_objects: the user's classes and functions by name.
        compile: False leaves out optimizer, loss and metrics.
        safe_mode: False lets lambdas in the file run.

    Raises:
        FileError: the file is missing, cut off, damaged, or no model.
        UnknownNameError: it holds a class that is not known; the message names `custom_objects`.
        InvalidArgumentError: it holds code, and `safe_mode` is on.
    """
    path = existing(filepath)
    kind = _format(path)
    if kind == "weights":
        raise InvalidArgumentError(
            "files that end in .weights.h5 hold weights only",
            got=path.name,
            fix="make the model, then model.load_weights(...)",
        )
    if not kind:
        kind = "keras" if _starts_with(path, b"PK") else "h5" if _starts_with(path, b"\x89HDF") else ""
    if not kind:
        raise _unknown(path, "load_model()", "a .keras or .h5 file")
    with custom_object_scope(custom_objects), safe_mode_scope(safe_mode):
        try:
            if kind == "safetensors":
                from kgraph.saving.named_weights import load_safetensors_model

                return load_safetensors_model(path)
            if kind == "keras":
                from kgraph.saving.archive import load_archive

                return load_archive(path, compile)
            from kgraph.saving.legacy_h5 import load_h5

            return load_h5(path, compile)
        except KGraphError:
            raise
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError, MemoryError) as error:
            raise FileError(
                f"the file {path.name} cannot be read: its description of the model is damaged",
                got=f"{type(error).__name__}: {error}"[:300],
            ) from error


def _starts_with(path: Path, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def load_weights(
    model: Model, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, **kwargs: Any
) -> None:
    """Read weights into a model: `.weights.h5`, `.safetensors`, the weights of a `.keras` archive, `.h5` of Keras 2.

    Args:
        model: a built model.
        filepath: the file.
        skip_mismatch: leave weights alone that the file does not fit.
        by_name: find layers (`.h5` of Keras 2) or weights (`.safetensors`) by their names, leave the others alone.
        kwargs: none.

    Raises:
        DataError, ShapeError: the file does not fit the model; nothing was changed.
        FileError: the file is missing or damaged.
    """
    if kwargs:
        raise InvalidArgumentError(f"load_weights() has no argument {next(iter(kwargs))!r}")
    path = Path(filepath)
    kind = _format(path)
    if not kind:
        raise _unknown(path, "load_weights()", ".weights.h5, .safetensors, .h5, .hdf5 or .keras")
    if by_name and kind not in ("h5", "safetensors"):
        raise InvalidArgumentError(
            "by_name=True needs a file that keeps the names of layers",
            got=path.name,
            needed="a .safetensors file, or an .h5 file in the form of Keras 2",
        )
    existing(path)
    if not model.built:
        raise NotBuiltError(
            f"model {model.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
        )
    if kind == "keras":
        from kgraph.saving.archive import load_archive_weights

        load_archive_weights(model, path, skip_mismatch)
    elif kind == "safetensors":
        from kgraph.saving.named_weights import load_safetensors_weights

        load_safetensors_weights(model, path, skip_mismatch, by_name)
    elif kind == "h5":
        from kgraph.saving.legacy_h5 import load_h5_weights

        load_h5_weights(model, path, skip_mismatch, by_name)
    else:
        from kgraph.models.weights_file import load_weights as load_new

        load_new(model, path, skip_mismatch)


def model_to_json(model: Model, **kwargs: Any) -> str:
    """The configuration as JSON; `kwargs` go to `json.dumps`."""
    return json.dumps(serialize_keras_object(model), **kwargs)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """A new model, without weights, from `to_json()` of kgraph or Keras (2 or 3).

    Raises:
        InvalidArgumentError: no JSON, or no model.
        UnknownNameError: a class is not known.
    """
    from kgraph.saving.legacy_config import modern
    from kgraph.saving.limits import check_description

    try:
        config = json.loads(json_string)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArgumentError(f"model_from_json: the text is no JSON: {error}") from None
    check_description(config, "the text")
    if not isinstance(config, Mapping):
        raise InvalidArgumentError("model_from_json: the text describes no model", got=str(json_string)[:80])
    try:
        model = deserialize_keras_object(modern(dict(config)), custom_objects)
    except KGraphError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            "model_from_json: the description is damaged", got=f"{type(error).__name__}: {error}"[:300]
        ) from error
    if not isinstance(model, Model):
        raise InvalidArgumentError("model_from_json: the text describes no model", got=type(model).__name__)
    return model
