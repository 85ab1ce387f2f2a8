"""What the kernels of attention share, forward and backward: sizes, scratch, products, and the scores of a tile.

A tile is a block of queries and a block of keys of one head. Its scores lie with queries along lanes, so greatest
scores and sums of rows are kept in vectors and no row is folded across lanes. Queries are turned once per block; every
other product reads its operands with strides where they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase
from kgraph.codegen.cpu.products import Evaluate, write_call
from kgraph.codegen.cpu.tilelib import gemm_scratch
from kgraph.codegen.cpu.writer import CeilDiv, Group, literal_text
from kgraph.codegen.loops import BufferRef, Expr, broadcast_index
from kgraph.errors import UnsupportedError
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Node
from kgraph.ir.types import itemsize

__all__ = ["KEYS", "QUERIES", "AttentionTiles"]

QUERIES, KEYS = 64, 128
"""Places of a tile: its scores take 32 KiB in f32, and a product over either side is long enough for the tiles."""
TASK_WORK = 500_000
"""Arithmetic in a task: several small heads make one, some ten microseconds."""
UNIT_WORK = 30_000
"""What the calls of a unit cost, as arithmetic."""
CERTAIN = 1000.0
"""A score this far below another has a weight of exactly 0, in f32 and f64."""


Size = Callable[[Evaluate], int]
"""A size that is known when a program is bound."""


class AttentionTiles:
    """Writes the parts of a kernel around an attention.

    Attributes:
        node: the op.
        array: name of an array in scratch -> alias scope; the name is also that of the variable with its address.
    """

    def __init__(self, ctx: KernelContext, op: str) -> None:
        self.ctx, self.w = ctx, ctx.writer
        self.node: Node = next(node for node in ctx.region.nodes if node.op.name == op)
        self.q, self.k, self.v = (ctx.operands[value] for value in self.node.operands[:3])
        (self.batch, self.rows, self.heads, self.depth) = self.node.operands[0].shape
        _, self.keys, _, self.width = self.node.operands[2].shape
        self.dtype = self.node.operands[0].dtype
        if self.dtype not in ("f32", "f64"):
            raise UnsupportedError(
                f"{op} of {self.dtype} has no native kernel", where=str(self.node.loc), fix="cast the operands to f32"
            )
        self.bytes = itemsize(self.dtype)
        self.array: dict[str, int] = {}
        self._end: DimLike = 0
        self._trace()

    # -- what is broadcast to the pairs -------------------------------------------------------------------------------
    def _trace(self) -> None:
        domain = Domain((self.batch, self.heads, self.rows, self.keys))
        tracer = self.ctx.tracer()
        names = ("batch", "head", "i", "j")
        self.w.groups = [Group([loop], domain.shape[axis], names[axis]) for axis, loop in domain.axis_loop.items()]
        self.row_loop, self.key_loop = domain.axis_loop.get(2, -1), domain.axis_loop.get(3, -1)

        def traced(place: int, nothing: float | bool) -> Expr | None:
            value = self.node.operands[place]
            if value.literal is not None and value.literal == nothing:
                return None
            return tracer.element(value, broadcast_index(domain.index, domain.shape, value.shape))

        self.mask, self.bias, self.keep = traced(3, True), traced(4, 0.0), traced(5, 1.0)
        self.causal = bool(self.node.attrs["causal"])

    # -- scratch ------------------------------------------------------------------------------------------------------
    def reserve(self, name: str, rows: DimLike) -> None:
        """An array of `rows` times `QUERIES` elements."""
        self.array[name] = self.ctx.count + len(self.array)
        self.w.line(f"{name} = scratch + {self.w.size(self._end)}" if self._end != 0 else f"{name} = scratch")
        self._end = self._end + rows * QUERIES * self.bytes

    def reserve_products(self) -> CeilDiv:
        """Scratch of the products, last; the size of all scratch."""
        end, dims = self._end, (self.depth, self.width)
        self.w.line(f"spare = scratch + {self.w.size(end)}")

        def bytes_(evaluate: Evaluate) -> int:
            wide = max(*(evaluate(dim) for dim in dims), QUERIES, KEYS)
            return evaluate(end) + gemm_scratch(wide, wide, wide, self.dtype)

        return CeilDiv(bytes_, f"attention scratch {end}|{dims}")

    def load(self, array: str, index: str) -> str:
        """Text of a load from scratch."""
        return f"load_{self.dtype}({array}, {index}, {self.array[array] % 64})"

    def store(self, array: str, index: str, value: str) -> None:
        """Write a store to scratch."""
        self.w.line(f"store_{self.dtype}({array}, {index}, {value}, {self.array[array] % 64})")

    def number(self, value: float) -> str:
        """A constant."""
        return literal_text(repr(value), self.dtype)

    # -- blocks -------------------------------------------------------------------------------------------------------
    def place(self, buffer: BufferRef, start: str) -> str:
        """Address of a row of the task's head."""
        return f"p{buffer.position} + ({self.index(buffer, start)}) * {self.bytes}"

    def index(self, buffer: BufferRef, start: str) -> str:
        """Elements before a row of the head."""
        size, (batch, row, head, _) = self.w.size, buffer.layout
        return f"batch * {size(batch)} + ({start}) * {size(row)} + head * {size(head)}"

    def stride(self, buffer: BufferRef) -> str:
        """Elements between neighbouring places."""
        return self.w.size(buffer.layout[1])

    def turn_in(self, buffer: BufferRef, array: str, features: DimLike) -> None:
        """The block of queries of a buffer, its features as rows, into scratch."""
        self._transpose(self.place(buffer, "i_low"), array, "rows", self.w.size(features), self.stride(buffer), QUERIES)

    def turn_out(self, array: str, buffer: BufferRef, features: DimLike) -> None:
        """Back from scratch."""
        self._transpose(array, self.place(buffer, "i_low"), self.w.size(features), "rows", QUERIES, self.stride(buffer))

    def _transpose(self, source: str, target: str, rows: str, columns: str, *strides: str | int) -> None:
        write_call(
            self.w, f"kg_transpose_{self.dtype}", source, target, f"{rows}, {columns}, {strides[0]}, {strides[1]}"
        )

    def product(self, a: str, b: str, c: str, sizes: str, keep: str) -> None:
        """C (+)= a b; a, b: address and strides; c: address and stride of rows; keep: 0 to overwrite."""
        write_call(self.w, f"kg_gemm_{self.dtype}", a, b, c, f"{sizes}, {keep}, spare")

    @contextmanager
    def units(self, count: Size, products: int, rows: Size, label: str) -> Iterator[None]:
        """For each unit of the tasks that are asked for: `unit`; a unit is so many products of these rows with keys."""

        def group(ev: Evaluate) -> int:
            work = products * rows(ev) * ev(self.keys) * (ev(self.depth) + ev(self.width))
            return max(1, TASK_WORK // (work + UNIT_WORK))

        label = f"attention {label} {self.batch}|{self.heads}|{self.rows}|{self.keys}|{self.depth}|{self.width}"
        self.tasks = CeilDiv(lambda ev: -(-count(ev) // group(ev)), f"{label} tasks")
        step, total = self.w.size(CeilDiv(group, f"{label} group")), self.w.size(CeilDiv(count, f"{label} units"))
        with self.w.block(f"for unit in range(begin * {step}, min(end * {step}, {total})):"):
            yield

    @contextmanager
    def row_blocks(self) -> Iterator[None]:
        """For each block of queries."""
        with self.w.block(f"for i_low in range(0, {self.w.size(self.rows)}, {QUERIES}):"):
            self.row_block()
            yield

    def row_block(self) -> None:
        """The end and number of the queries from `i_low`."""
        self.w.line(f"i_high = min(i_low + {QUERIES}, {self.w.size(self.rows)})")
        self.w.line("rows = i_high - i_low")

    @contextmanager
    def key_blocks(self) -> Iterator[None]:
        """For each block of keys."""
        size = self.w.size(self.keys)
        with self.w.block(f"for j_low in range(0, {size}, {KEYS}):"):
            self.w.line(f"j_high = min(j_low + {KEYS}, {size})")
            self.w.line("keys = j_high - j_low")
            yield

    @contextmanager
    def per_row(self) -> Iterator[None]:
        """For each query of the block: `c`."""
        with self.w.block("for c in range(rows):"):
            yield

    def pairs(self, roots: Sequence[Expr | None], body: Callable[[], None]) -> None:
        """Loops over a tile, queries innermost: `at` is the place in the tile, `c` that in the block of queries."""
        w = self.w
        todo = w.pending([root for root in roots if root is not None])

        def compute(level: int) -> None:
            for expr in todo:
                if (2 if self.row_loop in expr.loops else 1 if self.key_loop in expr.loops else 0) == level:
                    w.compute(expr)

        compute(0)
        with w.block("for j in range(j_low, j_high):"):
            compute(1)
            with w.block("for i in range(i_low, i_high):"):
                w.line("c = i - i_low")
                w.line(f"at = (j - j_low) * {QUERIES} + c")
                compute(2)
                body()

    # -- scores -------------------------------------------------------------------------------------------------------
    def raw_scores(self) -> None:
        """Products of queries and keys."""
        self.product(
            f"{self.place(self.k, 'j_low')}, {self.stride(self.k)}, 1",
            f"queries, {QUERIES}, 1",
            f"scores, {QUERIES}",
            f"keys, rows, {self.w.size(self.depth)}",
            "0",
        )

    def score_roots(self) -> list[Expr | None]:
        """What `write_score` reads."""
        return [self.mask, self.bias]

    def is_plain(self) -> bool:
        """Whether a score is the product itself."""
        return self.mask is None and self.bias is None and not self.causal and self.node.attrs["scale"] == 1.0

    def write_score(self) -> None:
        """`score`, and `seen` where there is a mask, of the pair at `at`."""
        text = self.load("scores", "at")
        if self.node.attrs["scale"] != 1.0:
            text += f" * {self.number(self.node.attrs['scale'])}"
        if self.bias is not None:
            text += f" + {self.w.name(self.bias)}"
        self.w.line(f"score = {text}")
        if self.seen():
            self.w.line(f"seen = {self.seen()}")
            self.w.line(f"score = select(seen, score, {self.number(self.node.attrs['fill'])})")

    def seen(self) -> str:
        """Text of whether a pair is not masked; empty when none is."""
        mask = "" if self.mask is None else self.w.name(self.mask)
        if not self.causal:
            return mask
        return f"select({mask}, j <= i, False)" if mask else "j <= i"

    def kept(self, value: str) -> str:
        """Text of a weight, or a gradient of one, after dropout; 0 where it is dropped, whatever it was."""
        if self.keep is None:
            return value
        factor = self.w.name(self.keep)
        return f"select({factor} == 0, {self.number(0.0)}, {value} * {factor})"

    def leave_when_masked(self, finite: str = "") -> None:
        """Stop at the first block of keys that no query may see, if the weights there are sure to be 0."""
        if not self.causal:
            return
        bound = literal_text(repr(self.node.attrs["fill"] + CERTAIN), "f64")
        with self.w.block("if j_low >= i_high:"):
            self.w.line("low = to_f64(float_inf)")
            with self.per_row():
                self.w.line(f"low = minimum(low, to_f64({self.load('top', 'c')}))")
            with self.w.block(f"if low > {bound}{finite}:"):
                self.w.line("break")

    def when_empty(self, size: DimLike) -> AbstractContextManager[None]:
        """A block for when a size is 0: sums over it are 0."""
        return self.w.block(f"if {self.w.size(size)} == 0:")

    def finish(self, scratch: CeilDiv) -> EmittedKernel:
        """The kernel."""
        return self.ctx.finish([Phase(0, self.tasks)], scratch)
