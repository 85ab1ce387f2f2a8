"""Writes docs/ops.md: every operation in a line, those that take arrays alone, and the names of Keras left out.

Run `python -m tests.parity.op_table` after adding an operation; a test compares the page with the code.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import kgraph.ops
import kgraph.random
from kgraph.ops.left_out import ARRAYS_ONLY, LEFT_OUT

PAGE = Path(__file__).parents[2] / "docs" / "ops.md"


def _line(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    first = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    signature = inspect.signature(thing)
    arguments = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in signature.parameters.values())
    return f"| `{name}({arguments})` | {first} |"


def _names(module: ModuleType) -> list[str]:
    return [n for n in sorted(set(module.__all__)) if inspect.isfunction(getattr(module, n)) and n not in LEFT_OUT]


def table() -> str:
    """The page."""
    head = ["| operation | what it does |", "|---|---|"]
    lines = [
        "# Operations",
        "",
        "Generated from the code by `python -m tests.parity.op_table`. Names, arguments and numbers are those of",
        "`keras.ops` and `keras.random`. Each works on NumPy arrays, on symbolic tensors of functional models (the",
        "call is recorded) and inside layers, where it is compiled. `ops.image`, `ops.linalg`, `ops.nn` and",
        "`ops.numpy` offer them too.",
        "",
        *head,
        *(_line(kgraph.ops, name) for name in _names(kgraph.ops)),
        "",
        "## Random numbers",
        "",
        *head,
        *(_line(kgraph.random, name) for name in _names(kgraph.random)),
        "",
        "## On arrays only",
        "",
        "These raise `UnsupportedError` on tensors of a model.",
        "",
        "| operation | why |",
        "|---|---|",
        *(f"| `{name}` | {why} |" for name, why in sorted(ARRAYS_ONLY.items())),
        "",
        "## Left out",
        "",
        "These names of Keras raise `UnsupportedError`.",
        "",
        "| name | instead |",
        "|---|---|",
        *(f"| `{name}` | {instead} |" for name, instead in sorted(LEFT_OUT.items())),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(table(), encoding="utf-8")
