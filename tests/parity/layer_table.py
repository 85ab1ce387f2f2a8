"""Writes docs/layers.md: every layer with its arguments, and the names of Keras that are left out.

Run `python -m tests.parity.layer_table` after adding a layer; a test compares the page with the code.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import kgraph.layers

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"


def table() -> str:
    """The page."""
    lines = [
        "# Layers",
        "",
        "Generated from the code by `python -m tests.parity.layer_table`. Arguments and numbers are those of Keras 3;",
        "every layer also takes `name`, `dtype` and `trainable`.",
        "",
        "| layer | what it does |",
        "|---|---|",
    ]
    alias: dict[str, list[str]] = {}
    for name in sorted(set(kgraph.layers.__all__)):
        thing = getattr(kgraph.layers, name)
        if inspect.isclass(thing):
            alias.setdefault(thing.__name__, [])
            if name != thing.__name__:
                alias[thing.__name__].append(name)
    for name in sorted(alias):
        doc = (inspect.getdoc(getattr(kgraph.layers, name)) or "").split("\n\n")[0].replace("\n", " ")
        others = f" (= {', '.join(alias[name])})" if alias[name] else ""
        lines.append(f"| `{name}`{others} | {doc.replace('|', chr(92) + '|')} |")
    lines += [
        "",
        "## Left out",
        "",
        "These names of Keras raise `UnsupportedError`.",
        "",
        "| name | instead |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {instead} |" for name, instead in sorted(kgraph.layers.LEFT_OUT.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(table(), encoding="utf-8")
