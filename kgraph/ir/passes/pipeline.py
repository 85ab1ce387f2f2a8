"""The pipelines, in order, each line with the reason it stands there; and their spelling on the command line."""

from __future__ import annotations

import re
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from kgraph.errors import InvalidArgumentError, UnknownNameError
from kgraph.ir.passes.attention import FuseAttention
from kgraph.ir.passes.autodiff import ExpandGradients
from kgraph.ir.passes.base import Pass
from kgraph.ir.passes.cleanup import CommonSubexpressions, DeadCode, FoldConstants
from kgraph.ir.passes.decompose import Decompose
from kgraph.ir.passes.simplify import DropStopGradient, Simplify
from kgraph.ir.passes.stabilise import Stabilise

__all__ = ["BEFORE_GRADIENTS", "OPTIMIZE", "PASSES", "parse_pipeline"]

# Between tracing and autodiff: what is simpler here has a simpler derivative.
BEFORE_GRADIENTS: list[Pass] = [
    Simplify(),  # first, so that the patterns behind it meet one spelling (no casts to the same type, no idle reshapes)
    CommonSubexpressions(),  # one softmax where loss and metric wrote two: stabilise matches identity
    Stabilise(),  # while the logarithm still stands on the softmax: the gradient must be that of the stable form
    DeadCode(),  # autodiff walks every node it finds; what nobody reads would keep attention apart
    FuseAttention(),  # while nothing but the next step reads the scores of pairs: derivatives would
    DeadCode(),  # its parts
    ExpandGradients(),  # derivatives that the program takes itself; last, so that they are those of the stable form
]

# Between autodiff and scheduling.
OPTIMIZE: list[Pass] = [
    DropStopGradient(),  # its work is done; it would hide equal expressions
    Decompose(),  # after autodiff (composites have better derivatives), before the rest, which must see the parts
    Simplify(),  # derivatives are full of ones, zeros, repeated scalars and transposes
    CommonSubexpressions(),  # forward and backward compute the same exp, the same comparisons
    Simplify(),  # operands that became one value: max(x, x), concat of one split, products with one user
    DeadCode(),  # last: everything before leaves unread nodes behind
]

# Every pass that can be named on the command line.
PASSES: list[type[Pass]] = [
    CommonSubexpressions,
    DeadCode,
    Decompose,
    DropStopGradient,
    ExpandGradients,
    FoldConstants,
    FuseAttention,
    Simplify,
    Stabilise,
]

_ITEM = re.compile(r"\s*([a-z][a-z0-9-]*)\s*(?:\{([^{}]*)\})?\s*")
_OPTION = re.compile(r"([a-z][a-z0-9-]*)=(\S+)")


def parse_pipeline(text: str) -> list[Pass]:
    """Passes from their spelling: `simplify{sink-reshapes=false},cse,dce`.

    Raises:
        UnknownNameError: no such pass or option.
        InvalidArgumentError: the text is not a pipeline, or an option has a value of another type.
    """
    by_name = {each.name: each for each in PASSES}
    passes: list[Pass] = []
    position = 0
    while position < len(text) or text.endswith(","):
        match = _ITEM.match(text, position)
        if match is None:
            raise InvalidArgumentError(
                f"not a pipeline: {text!r}", got=repr(text[position:]), needed="names with commas: simplify,cse,dce"
            )
        name, options = match.groups()
        if name not in by_name:
            raise _unknown("pass", name, list(by_name))
        passes.append(_with_options(by_name[name], options or ""))
        position = match.end()
        if position == len(text):
            break
        if text[position] != ",":
            raise InvalidArgumentError(
                f"not a pipeline: {text!r}", got=repr(text[position:]), needed="a comma between passes"
            )
        position += 1
    return passes


def _with_options(kind: type[Pass], text: str) -> Pass:
    defaults = {each.name.replace("_", "-"): each for each in fields(kind)}
    chosen: dict[str, Any] = {}
    for item in text.split():
        match = _OPTION.fullmatch(item)
        if match is None:
            raise InvalidArgumentError(f"pass {kind.name}: not an option: {item!r}", needed="name=value")
        name, value = match.groups()
        if name not in defaults:
            raise _unknown(f"option of pass {kind.name}", name, list(defaults))
        chosen[defaults[name].name] = _typed(kind, name, value, defaults[name].default)
    return kind(**chosen)


def _typed(kind: type[Pass], name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text in ("true", "false"):
            return text == "true"
    elif isinstance(default, (int, float)):
        try:
            return type(default)(text)
        except ValueError:
            pass
    else:
        return text
    raise InvalidArgumentError(f"pass {kind.name}: {name} cannot be {text!r}", needed=f"like {str(default).lower()}")


def _unknown(what: str, name: str, known: list[str]) -> UnknownNameError:
    near = get_close_matches(name, known, 2)
    return UnknownNameError(
        f"unknown {what} {name!r}",
        needed="one of " + ", ".join(sorted(known)) if known else "none: it has no options",
        fix=f"did you mean {' or '.join(near)}?" if near else "",
    )
