"""Process-wide front-end settings and counters: float type, epsilon, image layout, automatic names.

Nothing here knows a tensor or a layer.  `clear_session` puts names and random state back to a fresh process's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from kgraph.errors import InvalidArgumentError

__all__ = [
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "on_clear_session",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "snake_case",
    "unique_name",
]

_FLOATS = ("float16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")


class _Session(threading.local):
    """Names are counted per thread, so that models built in several threads do not see one another."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.uids: dict[str, int] = {}


_SESSION = _Session()
_HOOKS: list[Callable[[], None]] = []
_SETTINGS: dict[str, str | float] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def floatx() -> str:
    """The default float type, `"float32"` unless set."""
    return str(_SETTINGS["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float type.

    Raises:
        InvalidArgumentError: not one of float16, float32, float64.
    """
    if value not in _FLOATS:
        raise InvalidArgumentError(f"unknown float type {value!r}", needed="one of " + ", ".join(_FLOATS))
    _SETTINGS["floatx"] = value


def epsilon() -> float:
    """The small number that losses and norms add, 1e-7 unless set."""
    return float(_SETTINGS["epsilon"])


def set_epsilon(value: float) -> None:
    """Set what `epsilon` returns."""
    _SETTINGS["epsilon"] = float(value)


def image_data_format() -> str:
    """`"channels_last"` unless set."""
    return str(_SETTINGS["image_data_format"])


def set_image_data_format(value: str) -> None:
    """Set the default image layout.

    Raises:
        InvalidArgumentError: neither `channels_last` nor `channels_first`.
    """
    if value not in _LAYOUTS:
        raise InvalidArgumentError(f"unknown image data format {value!r}", needed="one of " + ", ".join(_LAYOUTS))
    _SETTINGS["image_data_format"] = value


def snake_case(name: str) -> str:
    """`"BatchNormalization"` -> `"batch_normalization"`, `"LSTM"` -> `"lstm"`, as Keras names layers."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(class_name: str) -> str:
    """`dense`, then `dense_1`, `dense_2`, ... for class `Dense`."""
    base = snake_case(class_name)
    count = _SESSION.used.get(base)
    _SESSION.used[base] = 0 if count is None else count + 1
    return base if count is None else f"{base}_{count + 1}"


def get_uid(prefix: str = "") -> int:
    """1, 2, 3, ... for each prefix."""
    _SESSION.uids[prefix] = _SESSION.uids.get(prefix, 0) + 1
    return _SESSION.uids[prefix]


def on_clear_session(hook: Callable[[], None]) -> None:
    """Have `hook` called by `clear_session` (random state, symbol names)."""
    _HOOKS.append(hook)


def clear_session(free_memory: bool = True) -> None:
    """Start automatic names again; models that exist stay usable."""
    _SESSION.used.clear()
    _SESSION.uids.clear()
    for hook in _HOOKS:
        hook()
