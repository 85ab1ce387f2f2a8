"""Every error a user of kgraph can meet, one class per kind of mistake.

Each class also inherits the built-in exception that a Keras user would catch.  A message says what happened first, then
`where`, `got`, `needed` and `fix` lines when they are known; see `docs/errors.md`.  This module imports nothing of kgraph.
"""

from __future__ import annotations

__all__ = [
    "CompileError",
    "DataError",
    "DtypeError",
    "GraphDisconnectedError",
    "InternalError",
    "InvalidArgumentError",
    "KGraphError",
    "LayerAttributeError",
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


class KGraphError(Exception):
    """Base of all errors raised by kgraph.

    Args:
        message: one line that says what is wrong.
        where: the user's line, layer or IR op.
        got: what came.
        needed: what was needed, and which call or parameter fixed that.
        fix: how to mend it.
    """

    def __init__(self, message: str, *, where: str = "", got: str = "", needed: str = "", fix: str = "") -> None:
        self.message, self.where, self.got, self.needed, self.fix = message, where, got, needed, fix
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [self.message]
        for label in ("where", "got", "needed", "fix"):
            text = getattr(self, label)
            if text:
                lines.append(f"  {label:<7} {text}")
        return "\n".join(lines)

    def located(self, where: str) -> KGraphError:
        """Return self with `where` filled in when it was empty (used by code that knows the layer or line)."""
        if not self.where and where:
            self.where = where
            self.args = (self._text(),)
        return self


class ShapeError(KGraphError, ValueError):
    """Shapes or ranks do not fit."""


class DtypeError(KGraphError, TypeError):
    """Element types do not fit."""


class InvalidArgumentError(KGraphError, ValueError):
    """An argument has a value outside what is allowed."""


class UnknownNameError(KGraphError, ValueError):
    """A string names no known loss, optimizer, activation, metric, layer, op or pass."""


class DataError(KGraphError, ValueError):
    """Training or prediction data do not fit the model: counts, lengths, values."""


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

    def __init__(self, message: str, *, line: int, column: int, where: str = "", fix: str = "") -> None:
        self.line, self.column = line, column
        super().__init__(message, where=where or f"line {line}, column {column}", fix=fix)


class VerifyError(KGraphError, ValueError):
    """A graph breaks a rule of the IR."""


class CompileError(KGraphError, RuntimeError):
    """A kernel could not be compiled."""


class InternalError(KGraphError, RuntimeError):
    """A fault of kgraph's own; please report it with the reproducer that the message names."""
