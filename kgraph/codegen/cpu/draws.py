"""Random numbers of a loop, made a block at a time.

Philox gives four numbers for one counter, and vectors of counters cost a third of counters one by one. So a loop whose
random numbers are consecutive is cut into blocks; the numbers of a block come from `philox_fill` and lie on the stack,
where rows shorter than a block find them too. The numbers are those of `philox_uniform`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kgraph.codegen.loops import Affine, Expr

if TYPE_CHECKING:
    from kgraph.codegen.cpu.writer import Group, Writer

__all__ = ["Draws"]

BLOCK = 1024
"""Turns of the loop in a block: 4 KiB of numbers, which stay in the first cache."""
STEP = 64
"""`philox_fill` makes so many numbers at once; the last few of a range not divisible by it would cost as much again."""
MAX_STREAMS = 8
"""Blocks on the stack of a kernel; further random numbers are made one by one."""


class Draws:
    """The blocks of random numbers of one kernel.

    Attributes:
        head: lines that stand before all loops.
        loads: for the expressions whose block is open, how to read them.
    """

    def __init__(self) -> None:
        self.head: list[str] = []
        self.loads: dict[Expr, str] = {}
        self._numbers: dict[Expr, int] = {}

    def consecutive(self, exprs: Sequence[Expr], group: Group) -> list[Expr]:
        """Those random numbers among `exprs` that follow one another in the loop `group`."""
        found = [expr for expr in exprs if expr.kind == "philox_uniform" and _follows(expr, group)]
        for expr in found:
            if expr not in self._numbers and len(self._numbers) < MAX_STREAMS:
                number = self._numbers[expr] = len(self._numbers)
                self.head += [f"draw{number} = local_f32({BLOCK + STEP})", f"base{number} = 0", f"filled{number} = 0"]
        return [expr for expr in found if expr in self._numbers]

    def write(
        self, w: Writer, exprs: Sequence[Expr], group: Group, span: tuple[str, str], body: Callable[[], None]
    ) -> None:
        """The loop over `group` from `span[0]` to `span[1]`, in blocks, with `body` for what stands in it."""
        variable = group.variable
        start, stop = f"{variable}_low", f"{variable}_high"
        with w.block(f"for {start} in range({span[0] or 0}, {span[1]}, {BLOCK}):"):
            w.line(f"{stop} = min({start} + {BLOCK}, {span[1]})")
            for expr in exprs:
                group.variable = start
                self._provide(w, expr, start, stop)
                group.variable = variable
                self.loads[expr] = w.load_local(self._numbers[expr], f"shift{self._numbers[expr]} + {variable}")
            with w.block(f"for {variable} in range({start}, {stop}):"):
                body()
            for expr in exprs:
                del self.loads[expr]

    def _provide(self, w: Writer, expr: Expr, start: str, stop: str) -> None:
        """Make the numbers of a block, unless they are among those made last."""
        number = self._numbers[expr]
        seed, stream, index, step = expr.args
        counter, volume = index.attrs[0], expr.attrs[0]
        assert isinstance(counter, Affine) and not isinstance(volume, (str, float, bool, Affine)) and volume is not None
        base, filled = f"base{number}", f"filled{number}"
        w.line(f"first = {w.affine(counter)}")
        with w.block(f"if first < {base} or first + ({stop} - {start}) > {filled}:"):
            w.line(f"{base} = first & -4")  # whole counters, and a whole number of vectors
            w.line(f"{filled} = {base} + min({BLOCK + STEP}, ({w.size(volume)} - {base} + {STEP - 1}) & -{STEP})")
            drawn = ", ".join(w.name(each) for each in (seed, stream, step))
            w.line(f"philox_fill(draw{number}, {base}, {filled} - {base}, {drawn})")
        w.line(f"shift{number} = first - {base} - {start}")


def _follows(expr: Expr, group: Group) -> bool:
    """Whether the counter goes up by one from turn to turn, and nothing else of the number changes."""
    seed, stream, index, step = expr.args
    counter, loops = index.attrs[0], set(group.loops)
    assert isinstance(counter, Affine)
    others = [seed, stream, step, *(v for v in counter.terms if isinstance(v, Expr))]
    return counter.factor(group.loops[-1]) == 1 and not any(loops & other.loops for other in others)
