"""Every message a user can meet: one small program each, with the text it must end in.

`programs/NAME.py` does one wrong thing.  Its first line names our class and the built-in that a Keras user would catch
(`# raises: ShapeError, ValueError`), or the warning (`# warns: CacheWarning, UserWarning`).  After a line `# then:`
comes what must still work afterwards.  `expected/NAME.txt` is the text; `--update-golden` writes it.
"""

from __future__ import annotations

import builtins
import difflib
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kgraph.core.session import clear_session
from kgraph.errors import KGraphError

HERE = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
LABELS = ("where", "got", "needed", "fix")


def _parts(name: str) -> tuple[str, list[str], str, str]:
    """Kind ("raises" or "warns"), class names, the program, and what comes after it on its own lines."""
    source = (HERE / "programs" / f"{name}.py").read_text(encoding="utf-8")
    header = re.match(r"# (raises|warns): ([\w, .]+)\n", source)
    assert header, f"{name}.py must begin with '# raises: OurClass, BuiltIn' or '# warns: ...'"
    first, _, then = source.partition("\n# then:\n")
    return header[1], header[2].split(", "), first, "\n" * (first.count("\n") + 2) + then


def _run(source: str, name: str, namespace: dict[str, Any]) -> None:
    # The bare name as the file name, so that texts hold no directory.
    exec(compile(source, f"{name}.py", "exec"), namespace)


def _check_class(found: BaseException, names: list[str]) -> None:
    ours, *others = names
    classes = {cls.__name__ for cls in type(found).__mro__}
    assert ours in classes, f"{type(found).__name__} is no {ours}: {found}"
    for other in others:
        assert isinstance(found, getattr(builtins, other)), f"{type(found).__name__} is no {other}"


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Put back the variables that a program sets."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("name", PROGRAMS)
def test_message(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, classes, source, then = _parts(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clear_session()
    namespace: dict[str, Any] = {"__name__": name}
    if kind == "raises":
        with pytest.raises(KGraphError) as caught:
            _run(source, name, namespace)
        found: BaseException = caught.value
        assert found.__cause__ is None and (found.__context__ is None or found.__suppress_context__), (
            "an inner exception would be shown before the message"
        )
    else:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            _run(source, name, namespace)
        assert len(said) == 1, [str(one.message) for one in said]
        found = said[0].message  # type: ignore[assignment]
    text = f"{type(found).__name__}: {found}".replace(str(tmp_path), "TMP")
    text = re.sub(r"[0-9a-f]{2}/[0-9a-f]{62}", "KEY", text)  # of a compiled kernel: depends on the machine
    _check_class(found, classes)
    _check_form(text)
    _compare(name, text + "\n", request.config.getoption("--update-golden"))
    _run(then, name, namespace)


def _check_form(text: str) -> None:
    """Short, nothing internal, labels in order."""
    lines = text.splitlines()
    assert len(lines) <= 7, text
    assert max(map(len, lines)) <= 400, text
    assert not re.search(r"kgraph/[\w/]+\.py|0x[0-9a-f]{6,}|site-packages", text), f"internal: {text}"
    labels = [line.split()[0] for line in lines[1:] if line.startswith("  ") and line.split()]
    known = [label for label in labels if label in LABELS]
    assert known == sorted(known, key=LABELS.index), text


def _compare(name: str, text: str, update: bool) -> None:
    path = HERE / "expected" / f"{name}.txt"
    if update:
        path.write_text(text, encoding="utf-8")
        return
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    if expected != text:
        diff = difflib.unified_diff(
            expected.splitlines(), text.splitlines(), f"tests/errors/expected/{name}.txt", "now", lineterm=""
        )
        pytest.fail("the text is not the expected one (--update-golden accepts it):\n" + "\n".join(diff))


def test_expected_files_have_programs() -> None:
    assert sorted(path.stem for path in (HERE / "expected").glob("*.txt")) == PROGRAMS


def test_there_are_enough() -> None:
    assert len(PROGRAMS) >= 45
