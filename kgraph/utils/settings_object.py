"""`Config`: settings with attributes, as `keras.utils.Config`."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from difflib import get_close_matches
from typing import Any

from kgraph.errors import InvalidArgumentError, LayerAttributeError

__all__ = ["Config"]

_OWN = frozenset(("_config", "_frozen"))


class Config:
    """A dict whose entries are attributes too, and which can be frozen.

    Example:
        >>> config = Config(units=8)
        >>> config.rate = 0.5
        >>> config.as_dict()
        {'units': 8, 'rate': 0.5}
    """

    _config: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", dict(kwargs))
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether the entries are fixed."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def _changing(self) -> dict[str, Any]:
        if self._frozen:
            raise InvalidArgumentError("the Config is frozen", fix="call unfreeze() first")
        return self._config

    def as_dict(self) -> dict[str, Any]:
        """A copy as a dict."""
        return dict(self._config)

    def to_json(self) -> str:
        """The entries as JSON."""
        return json.dumps(self._config)

    def keys(self) -> KeysView[str]:
        """Names of the entries."""
        return self._config.keys()

    def values(self) -> ValuesView[Any]:
        """Their values."""
        return self._config.values()

    def items(self) -> ItemsView[str, Any]:
        """Both."""
        return self._config.items()

    def pop(self, *args: Any) -> Any:
        """Take an entry out."""
        return self._changing().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several entries."""
        self._changing().update(*args, **kwargs)

    def get(self, keyname: str, value: Any = None) -> Any:
        """An entry, or `value`."""
        return self._config.get(keyname, value)

    def __setattr__(self, name: str, value: Any) -> None:
        self._changing()[name] = value

    def __getattr__(self, name: str) -> Any:
        if name in _OWN or name[:2] == "__":  # not set yet, while a copy is made
            raise AttributeError(name)
        if name in self._config:
            return self._config[name]
        near = get_close_matches(name, self._config, 1, 0.7)
        raise LayerAttributeError(f"the Config has no entry {name!r}", fix=f"write {near[0]}" if near else "")

    def __setitem__(self, key: str, item: Any) -> None:
        self._changing()[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __delitem__(self, key: str) -> None:
        del self._changing()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __contains__(self, item: object) -> bool:
        return item in self._config

    def __repr__(self) -> str:
        return f"<Config {self._config}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"_config": dict(self._config), "_frozen": self._frozen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
