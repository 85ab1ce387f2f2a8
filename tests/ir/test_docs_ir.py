"""docs/ir.md: the graphs in it are canonical, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kgraph.ir import parse, verify

TEXT = (Path(__file__).parents[2] / "docs" / "ir.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if not kind and text.startswith("kgraph 1")])
def test_graphs_are_canonical(text: str) -> None:
    graph = parse(text)
    verify(graph)
    assert f"{graph}\n" == text


def test_python(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = [text for kind, text in BLOCKS if kind == "python"]
    exec(compile(source, "docs/ir.md", "exec"), {})
    assert capsys.readouterr().out == "kgraph 1\ngraph @g {\n  inputs  %x: f32[4]\n  return %x\n}\n"
