"""`assets/` of a `.keras` archive: files that layers write and read themselves, such as vocabularies.

A layer takes part by `save_assets(directory)` and `load_assets(directory)`, as in Keras.  What a file holds is written
to a fresh temporary directory under its last name alone, after its size was checked, and is gone afterwards.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kgraph.core.layer import Layer
from kgraph.errors import FileError, KGraphError
from kgraph.models.model import Model
from kgraph.saving.safety import MAX_TEXT, member
from kgraph.saving.state import walk

__all__ = ["collect_assets", "read_assets"]

FOLDER = "assets"
# Files that one layer may have.
MAX_FILES = 64


def _layers(model: Model, method: str) -> Iterator[tuple[str, Layer, Any]]:
    for place, layer in walk(model):
        found = getattr(layer, method, None)
        if callable(found):
            yield f"{FOLDER}/{place}" if place else FOLDER, layer, found


def collect_assets(model: Model) -> list[tuple[str, bytes]]:
    """(member, content) of every file that the model's layers write."""
    members: list[tuple[str, bytes]] = []
    for place, _, save in _layers(model, "save_assets"):
        with tempfile.TemporaryDirectory() as directory:
            save(directory)
            files = sorted(file for file in Path(directory).rglob("*") if file.is_file())
            members += [(f"{place}/{file.relative_to(directory).as_posix()}", file.read_bytes()) for file in files]
    return members


def read_assets(archive: zipfile.ZipFile, model: Model, path: Path) -> None:
    """Let the layers read what the archive holds for them; members that no layer asks for are passed by.

    Raises:
        FileError: a layer cannot read its files, or they are too many or too large.
    """
    infos = [info for info in archive.infolist() if info.filename.startswith(f"{FOLDER}/") and not info.is_dir()]
    if not infos:
        return
    for place, layer, load in _layers(model, "load_assets"):
        own = [info for info in infos if info.filename.rpartition("/")[0] == place]
        if not own:
            continue
        if len(own) > MAX_FILES or sum(info.file_size for info in own) > MAX_TEXT:
            raise FileError(f"the file {path.name} holds too much for layer {layer.name!r}", where=place)
        with tempfile.TemporaryDirectory() as directory:
            for info in own:
                Path(directory, info.filename.rpartition("/")[2]).write_bytes(member(archive, info.filename, path))
            try:
                load(directory)
            except KGraphError:
                raise
            except Exception as error:
                raise FileError(
                    f"layer {layer.name!r} cannot read its files in {path.name}",
                    where=place,
                    got=f"{type(error).__name__}: {error}"[:300],
                ) from error
