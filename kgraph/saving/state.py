"""The numbers of a model in an HDF5 file in the layout of Keras 3: `layers/<class>[_n]/vars/<i>`.

Inner layers stand below by attribute name; the names of layers do not matter, their order and classes do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kgraph.core.layer import Layer
from kgraph.core.session import snake_case
from kgraph.core.variable import Variable
from kgraph.errors import DataError, FileError, ShapeError
from kgraph.models.graph import FunctionGraph
from kgraph.models.model import Model
from kgraph.random import SeedGenerator
from kgraph.saving.safety import MAX_TEXT, child_group, read_array, stored_array

__all__ = [
    "largest_array",
    "layers_in_order",
    "read_list",
    "read_own_stores",
    "read_weights",
    "walk",
    "write_list",
    "write_weights",
]

Array = np.ndarray[Any, Any]
Found = list[tuple[Variable, Array]]


def write_weights(file: Any, model: Model) -> None:
    """Write the weights of all layers."""
    for place, name, variables in _places(model):
        write_list(file, place, [variable.array for variable in variables], name)
    for place, store in _own_stores(model):
        group = file.require_group(f"{place}/vars")
        for key, array in store.items():
            group.create_dataset(key, data=array)
    for place, generator in _generators(model):
        pair = [int(generator.seed.array) % 2**32, int(generator.state.array) % 2**32]
        write_list(file, place, [np.array(pair, np.uint32)], generator.name)


def write_list(file: Any, place: str, arrays: Sequence[Array], name: str) -> None:
    """Write numbered arrays below `place`."""
    group = file.require_group(f"{place}/vars" if place else "vars")
    group.attrs["name"] = name
    for index, array in enumerate(arrays):
        group.create_dataset(str(index), data=array)


def largest_array(model: Model) -> int:
    """Bytes of the largest array that a file may hold beside the weights: none is larger than a weight, or a few
    numbers.
    """
    return max((variable.array.nbytes for variable in model.weights), default=0) + 4096


def read_list(file: Any, place: str, name: str, largest: int = 4096) -> list[Array]:
    """The numbered arrays below `place`; none when it is not there.

    Args:
        largest: bytes that an array may have.
    """
    group = child_group(file, f"{place}/vars", name)
    arrays = []
    for index in range(0 if group is None else len(group)):
        dataset = stored_array(group, str(index), name)
        if dataset.nbytes > largest:
            raise FileError(f"the file {name} has too large an array", where=str(dataset.name))
        arrays.append(read_array(dataset, name))
    return arrays


def read_weights(file: Any, model: Model, name: str, skip_mismatch: bool = False) -> Found:
    """Values for all weights; nothing is set yet.

    Args:
        file: an open HDF5 file.
        model: a built model.
        name: of the file, for messages.
        skip_mismatch: leave out layers that do not fit.

    Raises:
        DataError, ShapeError: the file does not fit the model; names the group and both shapes.
    """
    old = "layers" not in file and "_layer_checkpoint_dependencies" in file
    found: Found = []
    for place, _, variables in _places(model):
        if not variables:
            continue
        group_name = f"{place}/vars" if place else "vars"
        if old:
            group_name = "/".join(
                "_layer_checkpoint_dependencies" if part == "layers" else part for part in group_name.split("/")
            )
        group = child_group(file, group_name, name)
        count = 0 if group is None else len(group)
        if count != len(variables):
            if skip_mismatch:
                continue
            raise DataError(
                f"the file {name} does not fit model {model.name!r}",
                where=f"group {group_name}",
                got=f"{count} arrays",
                needed=f"{len(variables)}: " + ", ".join(f"{v.path} {v.shape}" for v in variables),
            )
        for index, variable in enumerate(variables):
            dataset = stored_array(group, str(index), name)
            if dataset.shape == variable.shape:
                found.append((variable, read_array(dataset, name)))
            elif not skip_mismatch:
                raise ShapeError(
                    f"the file {name} does not fit model {model.name!r}",
                    where=f"{group_name}/{index}",
                    got=str(dataset.shape),
                    needed=f"{variable.shape} for {variable.path}",
                )
    return found


def layers_in_order(model: Model) -> list[Layer]:
    """The layers as Keras orders them in files: without regard to losses that were added to the model.

    Layers that only such losses need come last; Keras has not heard of them.
    """
    if not model._symbolic_losses or model._symbolic is None or hasattr(model, "_stack"):
        return model.layers
    first = FunctionGraph(*model._symbolic, model.name).layers
    known = {id(layer) for layer in first}
    return [*first, *(layer for layer in model.layers if id(layer) not in known)]


def _own_stores(model: Model) -> Iterator[tuple[str, dict[str, Array]]]:
    """What layers without weights store by themselves, as Keras lets them: a lookup layer's `idf_weights`."""
    for place, layer in walk(model):
        save = getattr(layer, "save_own_variables", None)
        if callable(save) and not layer._direct_weights():
            store: dict[str, Array] = {}
            save(store)
            if store:
                yield place, {key: np.asarray(value) for key, value in store.items()}


def read_own_stores(file: Any, model: Model, name: str) -> None:
    """Give layers without weights what `save_own_variables`, of kgraph or Keras, stored for them.

    Raises:
        FileError: it is no array, or larger than a vocabulary's weights can be.
    """
    for place, layer in walk(model):
        load = getattr(layer, "load_own_variables", None)
        group = child_group(file, f"{place}/vars", name) if callable(load) and not layer._direct_weights() else None
        if group is None or load is None:
            continue
        found = {key: stored_array(group, key, name) for key in group if not key.isdigit()}
        if any(dataset.nbytes > MAX_TEXT for dataset in found.values()):
            raise FileError(f"the file {name} has too large an array", where=str(group.name))
        load({key: read_array(dataset, name) for key, dataset in found.items()})


def _generators(model: Model) -> Iterator[tuple[str, SeedGenerator]]:
    """Random states of layers, by attribute name below their layer."""
    for place, layer in walk(model):
        for name, value in sorted(layer.__dict__.items()):
            if isinstance(value, SeedGenerator) and not name.startswith("_"):
                yield (f"{place}/{name}" if place else name), value


def _places(model: Model) -> Iterator[tuple[str, str, list[Variable]]]:
    """(group, name, own weights) of every layer, in the order in which Keras walks them."""
    for place, layer in walk(model):
        yield place, layer.name, layer._direct_weights()


def walk(model: Model) -> Iterator[tuple[str, Layer]]:
    """(group, layer) of every layer, in the order in which Keras walks them."""
    seen: set[int] = set()

    def visit(layer: Layer, place: str) -> Iterator[tuple[str, Layer]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield place, layer
        for name, child in _children(layer):
            path = f"{place}/{name}" if place else name
            if isinstance(child, Layer):
                yield from visit(child, path)
            else:
                yield from container(child, path)

    def container(layers: Sequence[Layer], place: str) -> Iterator[tuple[str, Layer]]:
        used: dict[str, int] = {}
        for layer in layers:
            name = snake_case(type(layer).__name__)
            used[name] = used.get(name, -1) + 1
            yield from visit(layer, f"{place}/{name}_{used[name]}" if used[name] else f"{place}/{name}")

    yield from visit(model, "")


def _children(layer: Layer) -> list[tuple[str, Any]]:
    """Inner layers by attribute name in alphabetical order, those of models first; lists of layers stay lists."""
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
    first: list[tuple[str, Any]] = []
    if isinstance(layer, Model):
        found.pop("layers", None)
        if layer._graph is not None or hasattr(layer, "_stack"):
            first = [("layers", layers_in_order(layer))]
        else:
            found["layers"] = layer.layers
    return [*first, *sorted(found.items())]
