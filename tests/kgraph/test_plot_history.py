"""`utils.plot_history`: the curves that are drawn, and what is refused."""

from __future__ import annotations

import builtins
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import kgraph
from kgraph.errors import InvalidArgumentError, UnsupportedError

VALUES = {"accuracy": [0.1, 0.4, 0.5], "loss": [3.0, float("nan"), 1.0], "val_loss": [3.5, 2.5, 1.5]}


def test_svg(tmp_path: Path) -> None:
    name = kgraph.utils.plot_history(VALUES, str(tmp_path / "h.svg"))
    root = ET.parse(name).getroot()
    lines = [each.get("points", "").split() for each in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line) for line in lines] == [3, 2, 3]
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"accuracy", "loss", "val_loss", "epoch 3", "3.5"} <= set(texts)


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match="at least one epoch"):
        kgraph.utils.plot_history({})
    with pytest.raises(InvalidArgumentError, match="no ending"):
        kgraph.utils.plot_history(VALUES, "history")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedError, match=r"kgraph\[plot\]"):
        kgraph.utils.plot_history(VALUES, str(tmp_path / "h.png"))
