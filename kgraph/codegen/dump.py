"""`Dump`: writes what a compilation makes, stage by stage, where `KGRAPH_DUMP` says.

One directory for each compilation, named by its label; in it numbered stages (`00-graph.kg`, `01-grad.kg`, ...) and one
file for each kernel (`k2_dense_relu.py`).  Compilations call it on a cache hit too, so what is on disk is what runs.
With no place to write, every method does nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["Dump"]

# Labels that this process has written already, for each place: a second compilation of one name gets its own directory.
_WRITTEN: dict[str, int] = {}


class Dump:
    """Files of one compilation.

    Args:
        place: a directory (made when missing), `"-"` for standard output, or None for nowhere.
        label: names the compilation, e.g. `mlp.train`.
    """

    def __init__(self, place: str | None, label: str) -> None:
        self.label = label
        self._place = place
        self._directory: Path | None = None
        self._count = 0

    def __bool__(self) -> bool:
        """Whether anything is written (ask before making a costly text)."""
        return self._place is not None

    @property
    def directory(self) -> Path | None:
        """Where the files go; None for standard output or nowhere."""
        if self._directory is None and self._place not in (None, "-"):
            self._directory = _fresh_directory(str(self._place), self.label)
        return self._directory

    def stage(self, name: str, text: str) -> None:
        """Write the next numbered stage, e.g. `stage("grad", str(graph))`."""
        if self._place is None:
            return
        self._write(f"{self._count:02d}-{_file_name(name)}.kg", text)
        self._count += 1

    def kernel(self, name: str, source: str, suffix: str = ".py") -> None:
        """Write the source of one kernel; `suffix` tells Python, LLVM (`.ll`) or PTX."""
        if self._place is not None:
            self._write(_file_name(name) + suffix, source)

    def _write(self, name: str, text: str) -> None:
        if not text.endswith("\n"):
            text += "\n"
        directory = self.directory
        if directory is None:
            sys.stdout.write(f"==== {self.label}/{name}\n{text}")
        else:
            (directory / name).write_text(text, encoding="utf-8")


def _fresh_directory(place: str, label: str) -> Path:
    key = f"{Path(place).resolve()}|{label}"
    _WRITTEN[key] = _WRITTEN.get(key, 0) + 1
    name = _file_name(label) + (f"-{_WRITTEN[key]}" if _WRITTEN[key] > 1 else "")
    directory = Path(place) / name
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        # A shorter pipeline must not leave stages of an earlier run behind.
        if old.suffix in (".kg", ".py", ".ll", ".ptx"):
            old.unlink()
    return directory


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip(".") or "unnamed"
