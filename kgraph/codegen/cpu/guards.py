"""Two bodies for one loop nest, where a condition decides once per row whether an operand counts.

A gradient of rows (`scatter_rows`) is read as ``select(hit[row], sums[row, j], 0)``. Rows without a hit get a body of
their own, in which that operand is the number 0: what becomes of it is computed here, a store of what is there already
is left out, and with it, for most optimizers, all traffic for the row. What Keras computes for such a row is what is
computed: a product with 0 is taken for 0 only where the other factor is known to be finite, which for scalars is asked
at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kgraph.codegen.cpu.writer import Group, Writer
from kgraph.codegen.loops import Affine, BufferRef, Expr, Tracer

__all__ = ["Guarded", "find_guard"]

Store = tuple[BufferRef, Affine, Expr]


@dataclass
class Guarded:
    """The nest cut in two: `groups[:depth]` around a choice, and in each branch its own stores.

    Attributes:
        condition: decides for `hit`; `missed` serves the other rows where all of `finite` are finite.
        hit: stores where the operand counts (and, where `finite` is not empty, in general).
        missed: stores where it is 0, without those that would change nothing.
    """

    depth: int
    condition: Expr
    hit: list[Store]
    missed: list[Store]
    finite: list[Expr] = field(default_factory=list)

    def outer(self, w: Writer, groups: Sequence[Group]) -> list[Expr]:
        """What both branches need of the outer loops: computed once, before the choice."""
        inner = {loop for group in groups[self.depth :] for loop in group.loops}
        roots = [expr for _, _, expr in (*self.hit, *self.missed)]
        shared = [expr for expr in w.pending([*roots, self.condition, *self.finite]) if not expr.loops & inner]
        return [expr for expr in shared if expr.kind != "literal"]

    def test(self, w: Writer) -> str:
        """The condition as text."""
        return " or ".join([w.name(self.condition), *(f"{w.name(e)} - {w.name(e)} != 0" for e in self.finite)])


def find_guard(tracer: Tracer, groups: Sequence[Group], stores: Sequence[Store]) -> Guarded | None:
    """The choice that a nest of stores turns on, if there is one."""
    choices = [expr for expr in _reached(stores) if _is_choice(expr, groups)]
    if not choices:
        return None
    choice = max(choices, key=lambda expr: _depth(expr.args[0], groups))
    condition = choice.args[0]
    branch = _Branch(tracer, condition, taken=False)
    missed = [s for s in ((buffer, address, branch.of(expr)) for buffer, address, expr in stores) if not _is_there(*s)]
    hit = list(stores)
    if not branch.finite:  # else rows without a hit get here too, and must not read what is not written
        known = _Branch(tracer, condition, taken=True)
        hit = [(buffer, address, known.of(expr)) for buffer, address, expr in stores]
    return Guarded(_depth(condition, groups), condition, hit, missed, list(branch.finite))


def _reached(stores: Sequence[Store]) -> list[Expr]:
    seen: dict[Expr, None] = {}
    stack = [expr for _, _, expr in stores]
    while stack:
        expr = stack.pop()
        if expr not in seen:
            seen[expr] = None
            stack.extend(expr.inputs())
    return sorted(seen, key=lambda expr: expr.number)


def _is_choice(expr: Expr, groups: Sequence[Group]) -> bool:
    if expr.kind != "select" or not _is_number(expr.args[2], 0.0) or expr.args[1].kind != "load":
        return False
    depth = _depth(expr.args[0], groups)
    return expr.args[0].kind == "load" and 0 < depth < len(groups) and _depth(expr.args[1], groups) > depth


def _depth(expr: Expr, groups: Sequence[Group]) -> int:
    return max((i + 1 for i, group in enumerate(groups) if expr.loops.intersection(group.loops)), default=0)


def _is_there(buffer: BufferRef, address: Affine, expr: Expr) -> bool:
    """Whether the store would write what it finds."""
    return expr.kind == "load" and expr.attrs == (buffer.position, address)


def _is_number(expr: Expr, number: float) -> bool:
    return expr.kind == "literal" and float(str(expr.attrs[0])) == number


class _Branch:
    """Expressions as they are where the condition is known."""

    def __init__(self, tracer: Tracer, condition: Expr, taken: bool) -> None:
        self.tracer, self.condition, self.taken = tracer, condition, taken
        self.finite: dict[Expr, None] = {}
        self._done: dict[Expr, Expr] = {}

    def of(self, root: Expr) -> Expr:
        """`root` with the condition decided, and in the branch not taken simplified."""
        for expr in _reached([(BufferRef(0, root.dtype, ()), Affine(), root)]):  # operands first: no recursion
            if expr not in self._done:
                self._done[expr] = self._rebuilt(expr)
        return self._done[root]

    def _rebuilt(self, expr: Expr) -> Expr:
        if expr.kind == "select" and expr.args[0] is self.condition:
            return self._done[expr.args[1 if self.taken else 2]]
        args = tuple(self._done[arg] for arg in expr.args)
        if all(new is old for new, old in zip(args, expr.args, strict=True)):
            return expr
        same = None if self.taken else self._simplified(expr.kind, args)
        return same or self.tracer.make(expr.kind, args, expr.attrs, expr.dtype)

    def _simplified(self, kind: str, args: Sequence[Expr]) -> Expr | None:
        zeros = [_is_number(arg, 0.0) for arg in args]
        if kind in ("add", "sub") and zeros[1]:
            return args[0]
        if kind == "add" and zeros[0]:
            return args[1]
        if kind == "mul" and any(zeros):
            zero, other = args if zeros[0] else (args[1], args[0])
            return zero if self._is_finite(other) else None
        if kind == "div" and zeros[0] and _is_positive(args[1]):
            return args[0]
        return args[0] if kind in ("neg", "abs", "sqrt", "sign") and zeros[0] else None

    def _is_finite(self, expr: Expr) -> bool:
        """Whether the expression is finite, or a scalar that can be asked before the loops."""
        if expr.kind == "literal":
            return "inf" not in str(expr.attrs[0]) and "nan" not in str(expr.attrs[0])
        if expr.kind == "rsqrt":
            return _is_positive(expr.args[0])
        if not expr.loops:
            self.finite[expr] = None
        return not expr.loops


def _is_positive(expr: Expr) -> bool:
    """Whether the expression is above 0 where it is a number at all: the root of a mean square plus a constant.

    A mean square is NaN only after a gradient that was not finite, and by then the row it would be divided into is NaN.
    """
    if expr.kind == "sqrt":
        return _is_positive(expr.args[0])
    above = [arg.kind == "literal" and float(str(arg.attrs[0])) > 0 for arg in expr.args]
    return expr.kind == "add" and any(above)
