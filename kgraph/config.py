"""Settings from the environment: the `KGRAPH_*` variables, read in one place.

The environment sets defaults only; arguments of `compile(...)` go before it.  `settings()` reads the variables again at
each call, so a change takes effect at once.  This module imports nothing of kgraph but its errors.

`keras.config` of Keras has the same name: its functions (`floatx`, `set_image_data_format`, ...) are found here too,
and live in `kgraph.keras_config`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from kgraph.errors import InvalidArgumentError

__all__ = ["Attention", "Convolution", "Guard", "SettingError", "Settings", "settings"]

Attention = Literal["auto", "unfused"]
Convolution = Literal["auto", "direct", "winograd"]
Guard = Literal["", "zones", "pages"]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

# Everything the settings depend on, in the order _parse takes it.
_VARIABLES = (
    "KGRAPH_DUMP",
    "KGRAPH_VERIFY",
    "KGRAPH_CACHE",
    "KGRAPH_EXPLAIN",
    "KGRAPH_TIMINGS",
    "KGRAPH_CHECK_NAN",
    "KGRAPH_TRACEBACK",
    "KGRAPH_NUM_THREADS",
    "KGRAPH_CONV",
    "KGRAPH_GUARD",
    "KGRAPH_ATTENTION",
    "XDG_CACHE_HOME",
    "LOCALAPPDATA",
    "HOME",
)


class SettingError(InvalidArgumentError):
    """An environment variable of kgraph has a value that means nothing; also a `ValueError`."""

    _in_python = False

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        self.variable, self.value, self.allowed = variable, value, allowed
        super().__init__(
            f"the environment variable {variable} has no meaning as {value!r}",
            where="the environment of this process",
            needed=allowed,
            fix=f"set {variable} to one of these, or unset it",
        )

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error crosses process borders."""
        return type(self), (self.variable, self.value, self.allowed)


@dataclass(frozen=True)
class Settings:
    """What the `KGRAPH_*` variables say.

    Attributes:
        dump: `KGRAPH_DUMP`: directory that gets one numbered file per stage and kernel, `"-"` for standard output, or
            None.
        verify: `KGRAPH_VERIFY`: verify the graph before and after each pass.
        cache: `KGRAPH_CACHE`: directory of compiled kernels, or None when it is `off`.  Default: `kgraph` in the user's
            cache directory.
        explain: `KGRAPH_EXPLAIN`: print for each program that is compiled why its kernels were not fused.
        timings: `KGRAPH_TIMINGS`: print the seconds each stage of a compilation took.
        check_nan: `KGRAPH_CHECK_NAN`: stop at the first op that makes a value that is not finite.
        traceback: `KGRAPH_TRACEBACK`: `"short"` shows the user's lines only, `"full"` those of kgraph too.
        num_threads: `KGRAPH_NUM_THREADS`: threads of the native driver.  Default: the CPUs this process may use.
        convolution: `KGRAPH_CONV`: `"direct"` and `"winograd"` force the algorithm of 3 x 3 convolutions at stride 1,
            `"auto"` takes the faster.
        guard: `KGRAPH_GUARD`: `"zones"` runs programs kernel by kernel in memory with red zones, and stops at the first
            write outside a buffer; `"pages"` puts pages that may not be accessed there.  `""`: neither.
        attention: `KGRAPH_ATTENTION`: `"unfused"` keeps attention as the products and the softmax it is written with,
            `"auto"` makes one op of it, whose kernel stores no scores.
    """

    dump: str | None
    verify: bool
    cache: Path | None
    explain: bool
    timings: bool
    check_nan: bool
    traceback: Literal["short", "full"]
    num_threads: int
    convolution: Convolution
    guard: Guard
    attention: Attention


def settings() -> Settings:
    """Return the settings as the environment states them now (some microseconds).

    Raises:
        SettingError: a variable has a value that means nothing; names the variable, the value and what is allowed.
    """
    get = os.environ.get
    return _parse(tuple([get(name, "") for name in _VARIABLES]))


@lru_cache(maxsize=16)
def _parse(raw: tuple[str, ...]) -> Settings:
    value = dict(zip(_VARIABLES, (text.strip() for text in raw)))
    return Settings(
        dump=_dump(value["KGRAPH_DUMP"]),
        verify=_flag("KGRAPH_VERIFY", value),
        cache=_cache(value),
        explain=_flag("KGRAPH_EXPLAIN", value),
        timings=_flag("KGRAPH_TIMINGS", value),
        check_nan=_flag("KGRAPH_CHECK_NAN", value),
        traceback=_traceback(value["KGRAPH_TRACEBACK"]),
        num_threads=_num_threads(value["KGRAPH_NUM_THREADS"]),
        convolution=_convolution(value["KGRAPH_CONV"]),
        guard=_guard(value["KGRAPH_GUARD"]),
        attention=_attention(value["KGRAPH_ATTENTION"]),
    )


def _flag(name: str, value: dict[str, str]) -> bool:
    text = value[name].lower()
    if text in _TRUE:
        return True
    if text in _FALSE or not text:
        return False
    raise SettingError(name, value[name], "1, true, yes or on; 0, false, no or off")


def _dump(text: str) -> str | None:
    if not text or text == "-":
        return text or None
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise SettingError("KGRAPH_DUMP", text, 'a directory (made when missing), or "-" for standard output')
    return str(path)


def _cache(value: dict[str, str]) -> Path | None:
    text = value["KGRAPH_CACHE"]
    if text.lower() in _FALSE:
        return None
    if not text:
        return _user_cache(value) / "kgraph"
    path = Path(text).expanduser()
    if text.lower() in _TRUE or (path.exists() and not path.is_dir()):
        raise SettingError("KGRAPH_CACHE", text, 'a directory (made when missing), or "off"')
    return path


def _user_cache(value: dict[str, str]) -> Path:
    if value["XDG_CACHE_HOME"]:
        return Path(value["XDG_CACHE_HOME"])
    if sys.platform == "win32" and value["LOCALAPPDATA"]:
        return Path(value["LOCALAPPDATA"])
    home = Path(value["HOME"]) if value["HOME"] else Path.home()
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


def _traceback(text: str) -> Literal["short", "full"]:
    if text.lower() in ("", "short"):
        return "short"
    if text.lower() == "full":
        return "full"
    raise SettingError("KGRAPH_TRACEBACK", text, "short or full")


def _num_threads(text: str) -> int:
    if not text:
        return _usable_cpus()
    # isascii: int() also reads digits of other scripts
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise SettingError("KGRAPH_NUM_THREADS", text, "a whole number, 1 or more")
    return int(text)


def _convolution(text: str) -> Convolution:
    if text.lower() in ("", "auto"):
        return "auto"
    if text.lower() == "direct":
        return "direct"
    if text.lower() == "winograd":
        return "winograd"
    raise SettingError("KGRAPH_CONV", text, "auto, direct or winograd")


def _guard(text: str) -> Guard:
    if text.lower() in _FALSE or not text:
        return ""
    if text.lower() in _TRUE or text.lower() == "zones":
        return "zones"
    if text.lower() == "pages":
        return "pages"
    raise SettingError("KGRAPH_GUARD", text, "1 or zones; pages; 0")


def _attention(text: str) -> Attention:
    if text.lower() in ("", "auto"):
        return "auto"
    if text.lower() == "unfused":
        return "unfused"
    raise SettingError("KGRAPH_ATTENTION", text, "auto or unfused")


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def __getattr__(name: str) -> Any:
    # By name, when it is asked for: the compiler reads its settings here, and needs nothing of the front end.
    if name[:1] == "_":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module("kgraph.keras_config"), name, None)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
