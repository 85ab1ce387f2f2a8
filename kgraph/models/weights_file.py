"""`.weights.h5` files in the layout of Keras 3: `layers/<class>[_n]/vars/<i>`, inner layers below by attribute name.

Only values of weights are kept; the names of layers do not matter, their order and classes do.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.core.layer import Layer
from kgraph.core.session import snake_case
from kgraph.core.variable import Variable
from kgraph.errors import DataError, FileError, FileMissingError, InvalidArgumentError, NotBuiltError, ShapeError
from kgraph.models.model import Model

__all__ = ["load_weights", "save_weights"]


def save_weights(model: Model, filepath: Any, overwrite: bool = True) -> None:
    """Write all weights; see `Model.save_weights`."""
    path = _checked(filepath)
    if path.exists() and not overwrite:
        raise InvalidArgumentError(f"the file {path.name} exists", fix="pass overwrite=True")
    if not model.built:
        raise NotBuiltError(
            f"model {model.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
        )
    import h5py

    if not path.parent.is_dir():
        raise FileMissingError(
            f"the weights of model {model.name!r} cannot be saved: there is no directory {path.parent}",
            got=f"filepath={path}",
            fix="make the directory first, e.g. Path(...).mkdir(parents=True)",
        )
    # Written beside and moved: a reader, or a crash, never sees half a file.
    handle, temporary = tempfile.mkstemp(suffix=".tmp", prefix=path.name, dir=path.parent)
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            for place, variables in _places(model):
                group = file.require_group(f"{place}/vars" if place else "vars")
                for index, variable in enumerate(variables):
                    group.create_dataset(str(index), data=variable.array)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_weights(model: Model, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read all weights; see `Model.load_weights`.  Nothing is changed when the file does not fit."""
    path = _checked(filepath)
    if not path.exists():
        raise FileMissingError(f"there is no file {path}", fix="check the path; save_weights() writes such files")
    if not model.built:
        raise NotBuiltError(
            f"model {model.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
        )
    import h5py

    found: list[tuple[Variable, np.ndarray[Any, Any]]] = []
    if not h5py.is_hdf5(path):
        raise FileError(
            f"the file {path.name} holds no weights: it is no HDF5 file",
            got=f"filepath={path}",
            needed="a file that save_weights() wrote, of kgraph or of Keras 3",
        )
    with h5py.File(path, "r") as file:
        for place, variables in _places(model):
            if not variables:
                continue
            name = f"{place}/vars" if place else "vars"
            stored = file[name] if name in file else {}
            if len(stored) != len(variables):
                if skip_mismatch:
                    continue
                raise DataError(
                    f"the file {path.name} does not fit model {model.name!r}",
                    where=f"group {name}",
                    got=f"{len(stored)} arrays",
                    needed=f"{len(variables)}: " + ", ".join(f"{v.path} {v.shape}" for v in variables),
                )
            for index, variable in enumerate(variables):
                value = np.asarray(stored[str(index)])
                if value.shape == variable.shape:
                    found.append((variable, value))
                elif not skip_mismatch:
                    raise ShapeError(
                        f"the file {path.name} does not fit model {model.name!r}",
                        where=f"{name}/{index}",
                        got=str(value.shape),
                        needed=f"{variable.shape} for {variable.path}",
                    )
    for variable, value in found:
        variable.assign(value)


def _checked(filepath: Any) -> Path:
    path = Path(filepath)
    if not path.name.endswith(".weights.h5"):
        raise InvalidArgumentError(
            "The filename must end in `.weights.h5`.", got=f"filepath={path.name}", fix=f"write {path.stem}.weights.h5"
        )
    return path


def _places(model: Model) -> Iterator[tuple[str, list[Variable]]]:
    """(group, own weights) of every layer, in the order in which Keras walks them."""
    seen: set[int] = set()

    def visit(layer: Layer, place: str) -> Iterator[tuple[str, list[Variable]]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield place, layer._direct_weights()
        for name, child in _children(layer):
            path = f"{place}/{name}" if place else name
            if isinstance(child, Layer):
                yield from visit(child, path)
            else:
                yield from container(child, path)

    def container(layers: Sequence[Layer], place: str) -> Iterator[tuple[str, list[Variable]]]:
        used: dict[str, int] = {}
        for layer in layers:
            name = snake_case(type(layer).__name__)
            used[name] = used.get(name, -1) + 1
            yield from visit(layer, f"{place}/{name}_{used[name]}" if used[name] else f"{place}/{name}")

    yield from visit(model, "")


def _children(layer: Layer) -> list[tuple[str, Any]]:
    """Inner layers by attribute name in alphabetical order; lists of layers stay lists."""
    found: dict[str, Any] = {}
    for name, value in layer.__dict__.items():
        if name.startswith("_"):
            continue
        if isinstance(value, Layer):
            found[name] = value
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Layer) for item in value):
            found[name] = [item for item in value if isinstance(item, Layer)]
        elif isinstance(value, dict) and any(isinstance(item, Layer) for item in value.values()):
            found[name] = [item for item in value.values() if isinstance(item, Layer)]
    if isinstance(layer, Model):
        found["layers"] = layer.layers
    return sorted(found.items())
