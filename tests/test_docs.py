"""The code in README and docs runs, and what the pages show is what it gives.

Python blocks of a page run in order, in one name space, in an empty directory; the program they make up is called
`example.py`.  A comment in the line before a block changes what is done with it:

    <!-- not run -->            the block is not run
    <!-- raises: Name -->       a program of its own, which must end with an error of this class, then called `error`
    <!-- shows: expression -->  the block (of any kind) is the text of this expression; --update-golden writes it there
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import kgraph.errors
import kgraph.ir
import kgraph.utils
from kgraph.errors import KGraphError

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HAS_OWN_TEST = {"ir.md"}

_BLOCK = re.compile(r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    note: str
    kind: str
    text: str
    begin: int  # of the text within the page
    end: int


def blocks(page: str) -> list[Block]:
    return [
        Block(found["note"] or "", found["kind"], found["text"], found.start("text"), found.end("text"))
        for found in _BLOCK.finditer(page)
    ]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if page.name in HAS_OWN_TEST:
        pytest.skip("has its own test")
    monkeypatch.chdir(tmp_path)
    kgraph.utils.set_random_seed(0)
    kgraph.utils.clear_session()
    text = page.read_text(encoding="utf-8")
    space: dict[str, Any] = {"__name__": "__main__", "excerpt": excerpt}
    shown: list[tuple[Block, str]] = []
    line = 0
    defined = set(kgraph.ir.OPS)
    try:
        for block in blocks(text):
            if block.note.startswith("shows: "):
                shown.append((block, str(eval(block.note.removeprefix("shows: "), space)).strip("\n") + "\n"))
            elif block.note.startswith("raises: "):
                space["error"] = error_of(block)
            elif block.kind == "python" and block.note != "not run":
                run(block.text, space, line)
                line += block.text.count("\n")
    finally:
        for name in set(kgraph.ir.OPS) - defined:  # a page on new ops defines one
            del kgraph.ir.OPS[name]
    if request.config.getoption("--update-golden"):
        for block, now in reversed(shown):
            text = text[: block.begin] + now + text[block.end :]
        page.write_text(text, encoding="utf-8")
        return
    for block, now in shown:
        assert block.text == now, f"{page.name}: the block after `{block.note}` is out of date (--update-golden)"


def run(text: str, space: dict[str, Any], line: int = 0) -> None:
    code = compile("\n" * line + text, "example.py", "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(code, space)


def error_of(block: Block) -> str:
    """The text of the error that a program ends with."""
    name = block.note.removeprefix("raises: ")
    kgraph.utils.clear_session()
    kinds = {name: kind for module in sys.modules.values() for name, kind in errors_of(module)}
    with pytest.raises(kinds[name]) as caught:
        run(block.text, {"__name__": "__main__"})
    return f"kgraph.{type(caught.value).__name__}: {caught.value}"


def errors_of(module: Any) -> list[tuple[str, type[KGraphError]]]:
    """The error classes of a module of kgraph."""
    if not getattr(module, "__name__", "").startswith("kgraph"):
        return []
    return [(n, v) for n, v in list(vars(module).items()) if isinstance(v, type) and issubclass(v, KGraphError)]


def excerpt(text: Any, begin: str, end: str) -> str:
    """The lines from the first that holds `begin` up to the next one that holds `end`, which is left out."""
    lines = str(text).splitlines()
    first = next(number for number, line in enumerate(lines) if begin in line)
    last = next((number for number in range(first + 1, len(lines)) if end in lines[number]), len(lines))
    return "\n".join(lines[first:last])


def test_every_error_has_its_section() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for name in kgraph.errors.__all__:
        assert re.search(rf"^###? {name}$", page, re.M), f"docs/errors.md has no section {name}"


def first_sentence(path: Path) -> str:
    """What the module text says first, for a cell of a table."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return re.split(r"(?<=[.])\s+(?=[A-Z`])", text.replace("\n", " "))[0].rstrip(".").replace("|", "\\|")


def table_of(folders: str) -> str:
    """The table of the files of some folders of the package; `.` is the package itself without its folders."""
    rows = ["", "| file | what it is |", "|---|---|"]
    package = ROOT / "kgraph"
    for folder in folders.split():
        found = package.glob("*.py") if folder == "." else (package / folder).rglob("*.py")
        for path in sorted(found):
            if path.name != "__init__.py":
                rows.append(f"| `{path.relative_to(package).as_posix()}` | {first_sentence(path)} |")
    return "\n".join([*rows, ""])


def test_every_module_is_in_the_architecture(request: pytest.FixtureRequest) -> None:
    page = ROOT / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    tables = re.compile(r"(?<=<!-- files: )([^\n]*?)( -->\n)(.*?)(?=\n<!-- end -->)", re.S)
    now = tables.sub(lambda found: found[1] + found[2] + table_of(found[1]), text)
    if request.config.getoption("--update-golden"):
        page.write_text(now, encoding="utf-8")
        return
    folders = {folder for found in tables.finditer(text) for folder in found[1].split()}
    there = {path.parent.name for path in (ROOT / "kgraph").glob("*/__init__.py")}
    assert folders == {".", *there}, "docs/architecture.md has tables for other folders than there are"
    assert text == now, "the tables of files in docs/architecture.md are out of date (--update-golden)"


def test_every_setting_is_described() -> None:
    from kgraph.config import _VARIABLES

    page = (ROOT / "docs" / "debugging.md").read_text(encoding="utf-8")
    missing = [name for name in _VARIABLES if name.startswith("KGRAPH_") and f"`{name}" not in page]
    assert not missing, f"docs/debugging.md does not name {missing}"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
