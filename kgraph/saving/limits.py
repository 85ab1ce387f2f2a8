"""What a file may ask for: weights in proportion to those it holds, and a description of a size that models have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kgraph.core.budget import weight_budget
from kgraph.errors import FileError
from kgraph.saving.safety import backed_bytes

__all__ = ["check_description", "stored_elements", "weight_limit"]

# Objects with a class, and levels of nesting, that a description may have.
MAX_OBJECTS = 200_000
MAX_LAYERS = 20_000
MAX_DEPTH = 200
# Elements: weights beyond those of the file that are allowed all the same (layers that a file leaves out).
SLACK_FACTOR, SLACK = 4, 1 << 20


@contextmanager
def weight_limit(elements: int, file: str) -> Iterator[None]:
    """Within it, a model that needs far more weights than `elements` is refused before they are made."""
    limit = SLACK_FACTOR * elements + SLACK
    with weight_budget(limit, f"the file {file} holds {elements} numbers; its model asks for more than {limit}"):
        yield


def check_description(config: Any, file: str) -> None:
    """Look over a description, without recursion, before anything is made of it.

    Raises:
        FileError: it has more layers, objects or levels than any model.
    """
    waiting: list[tuple[Any, int]] = [(config, 0)]
    objects = layers = 0
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise FileError(f"the model in {file} is nested too deep", needed=f"at most {MAX_DEPTH} levels")
        if isinstance(value, dict):
            objects += "class_name" in value
            nodes = value.get("inbound_nodes")
            layers += len(nodes) if isinstance(nodes, list) and len(nodes) > 1 else 1 if nodes is not None else 0
            listed = value.get("layers")
            layers += len(listed) if isinstance(listed, list) else 0
            waiting += [(item, depth + 1) for item in value.values() if isinstance(item, (dict, list))]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value if isinstance(item, (dict, list))]
        if objects > MAX_OBJECTS or layers > MAX_LAYERS:
            raise FileError(
                f"the model in {file} is too large",
                got=f"more than {MAX_LAYERS} layers and calls, or {MAX_OBJECTS} objects",
                fix="make the model by its script, then load_weights(...)",
            )


def stored_elements(group: Any) -> int:
    """Numbers that the arrays below an HDF5 group really hold, whatever shape they claim."""
    import h5py

    total = 0

    def count(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += min(int(item.size or 0), backed_bytes(item) // max(item.dtype.itemsize, 1))

    group.visititems(count)
    return total
