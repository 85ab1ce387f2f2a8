"""`DTypePolicy`: the type in which a layer computes, and the type of its weights."""

from __future__ import annotations

from typing import Any

from kgraph.core.dtypes import standardize_dtype
from kgraph.core.session import floatx
from kgraph.errors import UnsupportedError

__all__ = ["DTypePolicy"]


class DTypePolicy:
    """A named policy; here both types are one (mixed precision is not there yet).

    Args:
        name: a dtype such as `"float32"`.

    Raises:
        UnsupportedError: a mixed policy.
    """

    def __init__(self, name: Any = None) -> None:
        if isinstance(name, dict):  # from a config
            name = name.get("config", {}).get("name")
        name = getattr(name, "name", name)
        if isinstance(name, str) and name.startswith("mixed_"):
            raise UnsupportedError(f"the dtype policy {name!r} is not supported yet", fix="use float32")
        self.name = standardize_dtype(name) if name is not None else floatx()

    @property
    def compute_dtype(self) -> str:
        """Type of activations."""
        return self.name

    @property
    def variable_dtype(self) -> str:
        """Type of weights."""
        return self.name

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal policy."""
        return {"name": self.name}
