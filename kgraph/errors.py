"""Every error a user of kgraph can meet, one class per kind of mistake.

Each class also inherits the built-in exception that a Keras user would catch.  A message says what happened first, then
`where`, `got`, `needed` and `fix` lines when they are known; see `docs/errors.md`.  This module imports nothing of
kgraph.
"""

from __future__ import annotations

import os
import re
import sys
from types import CodeType, FrameType
from typing import Any

__all__ = [
    "CallError",
    "CompileError",
    "DataError",
    "DtypeError",
    "FileError",
    "FileMissingError",
    "GraphDisconnectedError",
    "IndexRangeError",
    "InternalError",
    "InvalidArgumentError",
    "KGraphError",
    "LayerAttributeError",
    "MissingKeyError",
    "NotBuiltError",
    "NotCompiledError",
    "ParseError",
    "ShapeError",
    "SymbolicBoolError",
    "TargetError",
    "UnknownNameError",
    "UnsupportedError",
    "VerifyError",
]


# "model.py:13" somewhere in a text.
_PLACE = re.compile(r"\S:\d+\b")
# Code between kgraph and the user's line that is not the user's.
_PASSED = frozenset({"contextlib", "functools", "importlib", "inspect", "numpy"})
# Frames older than these belong to a recorded call, whose line its node knows; see `kgraph.core.trace.node_barrier`.
LINE_BARRIERS: set[CodeType] = set()


class KGraphError(Exception):
    """Base of all errors raised by kgraph.

    Args:
        message: one line that says what is wrong.
        where: the row, layer or IR op; the user's line is put before it unless it names a line.
        got: what came.
        needed: what was needed, and which call or parameter fixed that.
        fix: how to mend it.

    Attributes:
        user_line: `model.py:13`, the user's line on the stack; empty when `where` names one, and while a recorded call
            runs.
    """

    # Whether a line of the user's Python says where it went wrong.
    _in_python = True

    def __init__(self, message: str, *, where: str = "", got: str = "", needed: str = "", fix: str = "") -> None:
        self.message, self.got, self.needed, self.fix = message, got, needed, fix
        self._place = where
        self._complete = not self._in_python or _PLACE.search(where) is not None
        self.user_line = "" if self._complete else _user_line()
        self.where = _joined(self.user_line, where)
        super().__init__(self._text())

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show it quoted

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without calling `__init__`, whose arguments differ from class to class."""
        return _restored, (type(self), self.args), self.__dict__

    def _text(self) -> str:
        lines = [self.message]
        for label in ("where", "got", "needed", "fix"):
            text = getattr(self, label)
            if text:
                lines.append(f"  {label:<7} {text}")
        return "\n".join(lines)

    def located(self, where: str) -> KGraphError:
        """Return self with the line and layer in `where`, unless it names a line already.

        Used by code that knows better than the stack: a recorded call is made on one line and run from another.
        """
        if where and not self._complete:
            self._complete = True
            place = _joined(where, "" if self._place in where else self._place)
            self.where = place if _PLACE.search(place) else _joined(self.user_line, place)
            self.args = (self._text(),)
        return self


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first and second else first or second


def _user_line() -> str:
    """`model.py:13`: the nearest line on the stack outside kgraph; empty below the command line."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        package, _, module = str(frame.f_globals.get("__name__", "")).partition(".")
        if package == "kgraph":
            if module == "cli" or frame.f_code in LINE_BARRIERS:
                return ""
        elif package not in _PASSED:
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _restored(cls: type[KGraphError], args: tuple[Any, ...]) -> KGraphError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ShapeError(KGraphError, ValueError):
    """Shapes or ranks do not fit."""


class DtypeError(KGraphError, TypeError):
    """Element types do not fit."""


class CallError(KGraphError, TypeError):
    """A layer or function was called with arguments that it does not take."""


class InvalidArgumentError(KGraphError, ValueError):
    """An argument has a value outside what is allowed."""


class UnknownNameError(KGraphError, ValueError):
    """A string names no known loss, optimizer, activation, metric, layer, op or pass."""


class DataError(KGraphError, ValueError):
    """Training or prediction data do not fit the model: counts, lengths, values."""


class FileError(KGraphError, OSError):
    """A file cannot be read or written."""


class FileMissingError(FileError, FileNotFoundError):
    """A file or its directory does not exist."""


class MissingKeyError(KGraphError, KeyError):
    """A key is not in the logs, or in another mapping."""


class IndexRangeError(KGraphError, IndexError):
    """An index is outside an axis, or there are more indices than axes."""


class GraphDisconnectedError(KGraphError, ValueError):
    """An output of a model cannot be reached from its inputs."""


class NotBuiltError(KGraphError, ValueError):
    """A model or layer was used before its shapes are known."""


class NotCompiledError(KGraphError, RuntimeError):
    """`fit`, `evaluate` or the trainer was used before `compile()`."""


class LayerAttributeError(KGraphError, AttributeError):
    """A node attribute of a layer is not defined (never called, or several different nodes)."""


class SymbolicBoolError(KGraphError, TypeError):
    """Python asked for the truth value of a symbolic tensor."""


class UnsupportedError(KGraphError, NotImplementedError):
    """Something that kgraph does not do (yet); the message names what to use instead."""


class TargetError(KGraphError, ValueError):
    """A target is unknown or not usable on this machine."""


class ParseError(KGraphError, ValueError):
    """IR text cannot be read.  `line` and `column` are 1-based."""

    _in_python = False

    def __init__(self, message: str, *, line: int, column: int, where: str = "", fix: str = "") -> None:
        self.line, self.column = line, column
        super().__init__(message, where=where or f"line {line}, column {column}", fix=fix)


class VerifyError(KGraphError, ValueError):
    """A graph breaks a rule of the IR."""

    _in_python = False


class CompileError(KGraphError, RuntimeError):
    """A kernel could not be compiled."""


class InternalError(KGraphError, RuntimeError):
    """A fault of kgraph's own; please report it with the reproducer that the message names."""

    _in_python = False
