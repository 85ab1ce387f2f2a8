"""The functions of `keras.config` and `keras.mixed_precision`; `kgraph.config` gives them under Keras' name.

Float type, epsilon and image layout are those of `kgraph.core.session`.  Traceback filtering is the setting
`KGRAPH_TRACEBACK`.  The rest is small state of this module.
"""

from __future__ import annotations

import os
from typing import Any

from kgraph.config import settings
from kgraph.core.policy import DTypePolicy
from kgraph.core.session import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

_STATE = {"interactive": True}


def backend() -> str:
    """`"kgraph"`."""
    return "kgraph"


def set_backend(name: str) -> None:
    """Accepts the one back end.

    Raises:
        UnsupportedError: another one; `compile(target=)` chooses where a model runs.
    """
    if name != "kgraph":
        raise UnsupportedError(
            f"set_backend({name!r}): kgraph has one back end of its own",
            fix="choose where a model runs with model.compile(..., target='cpu')",
        )


# -- what is printed ------------------------------------------------------------------------------------------------
def enable_interactive_logging() -> None:
    """Let `fit` and its kin draw a bar for `verbose="auto"`: the default."""
    _STATE["interactive"] = True


def disable_interactive_logging() -> None:
    """Let `verbose="auto"` write one line an epoch, as a job without a terminal wants it."""
    _STATE["interactive"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether `verbose="auto"` means a bar."""
    return _STATE["interactive"]


def enable_traceback_filtering() -> None:
    """Show the user's lines only in tracebacks: sets `KGRAPH_TRACEBACK=short`, the default."""
    os.environ["KGRAPH_TRACEBACK"] = "short"


def disable_traceback_filtering() -> None:
    """Show kgraph's lines too: sets `KGRAPH_TRACEBACK=full`."""
    os.environ["KGRAPH_TRACEBACK"] = "full"


def is_traceback_filtering_enabled() -> bool:
    """Whether tracebacks show the user's lines only."""
    return settings().traceback == "short"


# -- types ----------------------------------------------------------------------------------------------------------
def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return DTypePolicy(floatx())


def set_dtype_policy(policy: Any) -> None:
    """Make new layers compute in this type, and keep their weights in it.

    One setting serves for both here: this is `set_floatx` with the policy's type.

    Args:
        policy: `"float32"`, `"float64"`, or a `DTypePolicy` of them.

    Raises:
        UnsupportedError: a mixed or quantised policy, or half precision.
        InvalidArgumentError: no policy at all.
    """
    name = getattr(policy, "name", policy)
    if name in ("float32", "float64"):
        set_floatx(name)
        return
    if not isinstance(name, str):
        raise InvalidArgumentError(f"set_dtype_policy({policy!r})", needed="'float32' or 'float64'")
    raise UnsupportedError(
        f"the dtype policy {name!r} is not supported: the CPU computes in float32",
        needed="'float32' or 'float64'",
        fix="leave the policy out: weights and arithmetic are in float32",
    )


# -- switches of Keras that are fixed here --------------------------------------------------------------------------
def is_flash_attention_enabled() -> bool:
    """False: there is one way to compute attention."""
    return False


def enable_flash_attention() -> None:
    """Nothing to do on a CPU, as in Keras."""


def disable_flash_attention() -> None:
    """Nothing to do."""


def is_nnx_enabled() -> bool:
    """False."""
    return False


def enable_unsafe_deserialization() -> None:
    """Not there, on purpose.

    Raises:
        UnsupportedError: always; a file is trusted one by one.
    """
    raise UnsupportedError(
        "code in files is not run by a global switch", fix="pass safe_mode=False to load_model for a file you trust"
    )


def max_epochs() -> None:
    """None: no limit beside `fit(epochs=)`."""


def max_steps_per_epoch() -> None:
    """None: no limit beside `fit(steps_per_epoch=)`."""


def set_max_epochs(max_epochs: int | None) -> None:
    """Not there, but for None.

    Raises:
        UnsupportedError: a number.
    """
    _no_limit("epochs", max_epochs)


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Not there, but for None.

    Raises:
        UnsupportedError: a number.
    """
    _no_limit("steps_per_epoch", max_steps_per_epoch)


def _no_limit(name: str, value: int | None) -> None:
    if value is not None:
        raise UnsupportedError(f"a limit of {name} for every fit is not there", fix=f"pass fit(..., {name}={value!r})")
