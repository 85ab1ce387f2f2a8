"""Mistakes on the command line: a message on standard error and exit code 1, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgraph.cli import main

DOUBLE = """kgraph 1
graph @double [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B, 4] = add(%x, %x)
  return %0
}
"""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("print nowhere.kg", "kgraph: nowhere.kg: No such file or directory"),
        ("print bytes.kg", "kgraph.DataError: bytes.kg is no IR text\n  got     a byte that is no UTF-8 at 0"),
        ("print .", "kgraph: .: Is a directory"),
        (
            "print wrong.kg",
            "kgraph.ParseError: unknown op 'ad'\n  where   line 4, column 19\n"
            "    |   %0: f32[B, 4] = ad(%x, %x)\n    |                   ^",
        ),
        ("opt double.kg -p simplify,csee", "kgraph.UnknownNameError: unknown pass 'csee'\n  needed  one of cse, dce,"),
        ("run double.kg", "kgraph.DataError: graph @double has no array for %x\n  got     nothing"),
        ("run double.kg --input x", "kgraph.DataError: --input 'x' cannot be read\n  needed  NAME=FILE.npy"),
        ("run double.kg --input x=nowhere.npy", "kgraph: nowhere.npy: No such file or directory"),
        ("run double.kg --input x=double.kg", "kgraph.DataError: double.kg holds no array\n  needed  a .npy file"),
        ("run double.kg --random --size B=0", "kgraph.DataError: --size: '0' is no size"),
        ("run double.kg --random --size T=3", "kgraph.DataError: --size: the graph has no symbol 'T'\n  needed  B"),
        ("run double.kg --random --target gpu", "kgraph.TargetError: unknown target 'gpu'\n  needed  one of"),
    ],
)
def test_message(
    arguments: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("double.kg").write_text(DOUBLE, encoding="utf-8")
    Path("wrong.kg").write_text(DOUBLE.replace("add", "ad"), encoding="utf-8")
    Path("bytes.kg").write_bytes(b"\xff\xfe")
    assert main(arguments.split()) == 1
    said = capsys.readouterr().err
    assert said.startswith(text), said
    assert "Traceback" not in said and "test_cli.py" not in said
