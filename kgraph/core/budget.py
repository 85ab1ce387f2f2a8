"""How many numbers a weight may have: what memory holds, and while a file is read, what the file holds.

Looked at before a weight is made; it costs a multiplication of the sizes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from kgraph.errors import FileError, InvalidArgumentError

__all__ = ["check_weight", "memory_bytes", "weight_budget"]


class _Budget:
    def __init__(self, elements: int, reason: str) -> None:
        self.left, self.reason = elements, reason


_BUDGET: ContextVar[_Budget | None] = ContextVar("weight_budget", default=None)


@lru_cache(maxsize=1)
def memory_bytes() -> int:
    """Memory of this machine in bytes; 2**47, what an address can reach, where that is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**47


@contextmanager
def weight_budget(elements: int, reason: str) -> Iterator[None]:
    """Within it, weights of `elements` numbers together may be made; `reason` is said when they are more."""
    token = _BUDGET.set(_Budget(elements, reason))
    try:
        yield
    finally:
        _BUDGET.reset(token)


def check_weight(layer: str, name: str, shape: Sequence[int], itemsize: int) -> None:
    """Refuse a weight that cannot be.

    Args:
        layer: its name, for the message.
        name: of the weight.
        shape: its sizes.
        itemsize: bytes of an element.

    Raises:
        InvalidArgumentError: it is larger than the memory of this machine.
        FileError: a file is being read, and asks for far more weights than it holds.
    """
    count = 1
    for size in shape:
        count *= size
    what = f"weight {name!r} of layer {layer!r}"
    budget = _BUDGET.get()
    if budget is not None:
        budget.left -= count
        if budget.left < 0:
            raise FileError(
                budget.reason,
                got=f"{what}, shape {tuple(shape)}",
                fix="if the file is yours, make the model by its script, then load_weights(...)",
            )
    if count * itemsize > memory_bytes():
        raise InvalidArgumentError(
            f"{what} does not fit into memory",
            got=f"shape {tuple(shape)}, {count * itemsize} bytes",
            needed="no more than this machine has",
            fix="check the layer's arguments and the shape of its input",
        )
