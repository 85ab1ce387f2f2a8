"""`keras.dtype_policies`: `DTypePolicy`, and policies by name or from a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgraph.core.policy import DTypePolicy
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.keras_config import dtype_policy
from kgraph.keras_paths import missing

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

FloatDTypePolicy = DTypePolicy
_QUANTISED = (
    "AWQDTypePolicy",
    "DTypePolicyMap",
    "GPTQDTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
)


def __getattr__(name: str) -> Any:
    if name in _QUANTISED:
        raise UnsupportedError(f"{name} is not there: every layer computes in floats", fix="use DTypePolicy('float32')")
    raise missing(__name__, name, __all__)


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A description made of plain values, as Keras writes it."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": dtype_policy.get_config(),
        "registered_name": None,
    }


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> DTypePolicy:
    """The policy that `serialize` described.

    Raises:
        InvalidArgumentError: the description is none of a policy.
        UnsupportedError: a mixed or quantised policy.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        raise InvalidArgumentError(f"cannot read a dtype policy from {config!r}", needed="what serialize() gives")
    if config.get("class_name") not in ("DTypePolicy", "FloatDTypePolicy"):
        __getattr__(str(config.get("class_name")))
    return DTypePolicy(config["config"].get("name"))


def get(identifier: Any) -> DTypePolicy:
    """A policy from a name, a dtype, a description or a policy; None is the one in force."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    return deserialize(identifier) if isinstance(identifier, Mapping) else DTypePolicy(identifier)
