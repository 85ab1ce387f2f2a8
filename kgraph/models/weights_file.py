"""`.weights.h5` files in the layout of Keras 3 (see `kgraph.saving.state`), and the other forms of weights alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kgraph.errors import FileError, InvalidArgumentError, NotBuiltError
from kgraph.models.model import Model

__all__ = ["load_weights", "save_weights"]


def save_weights(model: Model, filepath: Any, overwrite: bool = True) -> None:
    """Write all weights; see `Model.save_weights`."""
    from kgraph.saving.safety import atomic_file
    from kgraph.saving.state import write_weights

    path = Path(filepath)
    safetensors = path.suffix == ".safetensors"
    old = path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5")
    if not old and not safetensors:
        path = _checked(filepath)
    if path.exists() and not overwrite:
        raise InvalidArgumentError(f"the file {path.name} exists", fix="pass overwrite=True")
    if not model.built:
        raise NotBuiltError(
            f"model {model.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
        )
    if safetensors:
        from kgraph.saving.named_weights import save_safetensors

        save_safetensors(model, path, overwrite)
        return
    if old:
        from kgraph.saving.legacy_h5 import save_h5_weights

        save_h5_weights(model, path, overwrite)
        return
    import h5py

    # Written beside and moved: a reader, or a crash, never sees half a file.
    with atomic_file(path, overwrite, f"the weights of model {model.name!r}") as temporary:
        with h5py.File(temporary, "w") as file:
            write_weights(file, model)


def load_weights(model: Model, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read all weights; see `Model.load_weights`.  Nothing is changed when the file does not fit."""
    from kgraph.saving.safety import existing, open_hdf5
    from kgraph.saving.state import read_weights

    path = existing(_checked(filepath))
    if not model.built:
        raise NotBuiltError(
            f"model {model.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
        )
    import h5py

    if not h5py.is_hdf5(path):
        raise FileError(
            f"the file {path.name} holds no weights: it is no HDF5 file",
            got=f"filepath={path}",
            needed="a file that save_weights() wrote, of kgraph or of Keras 3",
        )
    with open_hdf5(path, path.name) as file:
        found = read_weights(file, model, path.name, skip_mismatch)
    for variable, value in found:
        variable.assign(value)


def _checked(filepath: Any) -> Path:
    path = Path(filepath)
    if not path.name.endswith(".weights.h5"):
        raise InvalidArgumentError(
            "The filename must end in `.weights.h5`.",
            got=f"filepath={path.name}",
            needed=".weights.h5, .safetensors, or .h5 in the form of Keras 2",
            fix=f"write {path.stem}.weights.h5",
        )
    return path
