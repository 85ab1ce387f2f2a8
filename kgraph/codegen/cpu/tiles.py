"""Register tiles: the innermost loops of every matrix product and convolution, as LLVM text.

A tile computes ``C[rows, columns] (+)= sum_k A[row, k] * B[k, column]`` with all of C's block held in vector
registers. The sum runs over two nested loops, so the same code serves a product (one outer turn), a direct
convolution (outer: kernel rows; inner: kernel columns and channels, which lie side by side) and a convolution's
weight gradient (outer: image rows; inner: image columns). All strides are run-time values.

This file knows nothing of caches or of whole matrices (see ``tilelib``). It also holds `Code`, the small assembler
for LLVM text used by the native parts of this package. Invariant: text in, text out; nothing here loads llvmlite
except `host_vectors`, which asks for the processor's features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = [
    "PARAMS",
    "Code",
    "Module",
    "Scalar",
    "Variable",
    "Vectors",
    "host_vectors",
    "tile_rows",
    "write_tile",
    "write_tile_table",
]

Operand = str | int


@dataclass(frozen=True)
class Scalar:
    """An element type: its short name, its LLVM name and its size in bytes."""

    name: str
    llvm: str
    size: int


F32 = Scalar("f32", "float", 4)
F64 = Scalar("f64", "double", 8)
SCALARS = {"f32": F32, "f64": F64}


@dataclass(frozen=True)
class Vectors:
    """What the register file offers.

    bits: width of a vector; rows: rows of the largest tile that is two vectors wide; lane_masks: whether a masked load
    costs no more than a plain one (then one tile serves full and partial widths).
    """

    bits: int
    rows: int
    lane_masks: bool
    cpu: str = ""

    def lanes(self, scalar: Scalar) -> int:
        """Elements of one vector."""
        return self.bits // 8 // scalar.size

    def widths(self) -> tuple[int, ...]:
        """Tile widths in vectors, ascending powers of two. Few rows go with many vectors, or latency shows."""
        return (1, 2, 4, 8) if self.bits == 512 else (1, 2, 4)

    def rows_of(self, width: int) -> int:
        """Largest number of rows of a tile `width` vectors wide."""
        if width <= 2:
            return self.rows
        if self.bits == 512:
            return {4: 6, 8: 2}[width]
        return 2

    @property
    def key(self) -> str:
        """Text that tells two register files apart, for cache keys."""
        return f"v{self.bits}r{self.rows}m{int(self.lane_masks)}{self.cpu}"


def host_vectors() -> Vectors:
    """The register file of the processor we run on."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl") and features.get("avx512dq"):
        return Vectors(512, 14, True)
    if features.get("avx2") and features.get("fma"):
        return Vectors(256, 6, False)
    return Vectors(128, 4, False)


class Module:
    """An LLVM module under construction: functions, globals, declarations and loop marks."""

    def __init__(self, vectors: Vectors | None = None) -> None:
        self._parts: list[str] = []
        self._declarations: dict[str, None] = {}
        self._loops = 0
        attributes = "nounwind"
        if vectors is not None and vectors.bits == 512:
            # Some AVX-512 processors are tuned to 256 bits by default; the tiles are written for the full width.
            attributes += ' "prefer-vector-width"="512" "min-legal-vector-width"="512"'
        if vectors is not None and vectors.cpu:
            attributes += f' "target-cpu"="{vectors.cpu}"'
        self._attributes = attributes

    def add(self, text: str) -> None:
        """Append a function or a global."""
        self._parts.append(text)

    def declare(self, declaration: str) -> None:
        """Declare an external function once."""
        self._declarations[declaration] = None

    def loop_mark(self) -> str:
        """A fresh loop identity. Loops are written as they should stay: LLVM must not unroll or vectorise them."""
        self._loops += 1
        return f"!llvm.loop !{self._loops + 1}"

    def text(self) -> str:
        """The whole module."""
        marks = ['!0 = !{!"llvm.loop.unroll.disable"}', '!1 = !{!"llvm.loop.vectorize.enable", i1 false}']
        marks += [f"!{n + 2} = distinct !{{!{n + 2}, !0, !1}}" for n in range(self._loops)]
        return "\n".join([*self._declarations, *self._parts, f"attributes #0 = {{ {self._attributes} }}", *marks, ""])


class Variable:
    """A local variable of a `Code`: a stack slot, which LLVM turns into a register."""

    def __init__(self, code: Code, kind: str, slot: str) -> None:
        self._code, self._kind, self._slot = code, kind, slot

    def get(self) -> str:
        """The current value."""
        return self._code.let(f"load {self._kind}, ptr {self._slot}")

    def set(self, value: Operand) -> None:
        """Assign."""
        self._code.do(f"store {self._kind} {value}, ptr {self._slot}")


class Code:
    """One LLVM function, written statement by statement. Integers are i64; operands are Python ints or value names."""

    def __init__(
        self, module: Module, name: str, params: Sequence[str], *, result: str = "void", internal: bool = False
    ):
        """params: texts such as ``"i64 m"`` or ``"ptr a"``; the value of ``m`` is then ``%m``."""
        self.module = module
        arguments = ", ".join(f"{kind} %{argument}" for kind, argument in (p.split() for p in params))
        linkage = "internal " if internal else ""
        self._header = f"define {linkage}{result} @{name}({arguments}) #0 {{"
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._block = "start"

    # -- statements ------------------------------------------------------------------------------------------------

    def do(self, statement: str) -> None:
        """A statement without a value."""
        self._lines.append("  " + statement)

    def let(self, expression: str) -> str:
        """A statement with a value; returns the value's name."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {expression}")
        return name

    def variable(self, kind: str, initial: Operand) -> Variable:
        """A mutable local."""
        self._count += 1
        slot = f"%s{self._count}"
        self._slots.append(f"  {slot} = alloca {kind}")
        variable = Variable(self, kind, slot)
        variable.set(initial)
        return variable

    def array(self, count: int) -> str:
        """Space for `count` i64 on the stack; returns its address."""
        self._count += 1
        slot = f"%s{self._count}"
        self._slots.append(f"  {slot} = alloca [{count} x i64], align 64")
        return slot

    def finish(self, result: str = "void") -> None:
        """Close the function and hand it to the module."""
        self.do(f"ret {result}")
        body = [self._header, "entry:", *self._slots, "  br label %start", "start:", *self._lines, "}", ""]
        self.module.add("\n".join(body))

    # -- arithmetic ------------------------------------------------------------------------------------------------

    def add(self, a: Operand, b: Operand) -> Operand:
        """A + b."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return b if a == 0 else a if b == 0 else self.let(f"add i64 {a}, {b}")

    def sub(self, a: Operand, b: Operand) -> Operand:
        """A - b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.let(f"sub i64 {a}, {b}")

    def mul(self, a: Operand, *factors: Operand) -> Operand:
        """The product."""
        for b in factors:
            if isinstance(a, int) and isinstance(b, int):
                a = a * b
            elif a == 1 or b == 1:
                a = b if a == 1 else a
            else:
                a = self.let(f"mul i64 {a}, {b}")
        return a

    def div(self, a: Operand, b: Operand) -> str:
        """A // b for non-negative operands."""
        return self.let(f"udiv i64 {a}, {b}")

    def ceil_div(self, a: Operand, b: Operand) -> str:
        """ceil(a / b) for positive operands."""
        return self.div(self.sub(self.add(a, b), 1), b)

    def minimum(self, a: Operand, b: Operand) -> str:
        """The smaller."""
        return self.select(self.compare("slt", a, b), a, b)

    def maximum(self, a: Operand, b: Operand) -> str:
        """The larger."""
        return self.select(self.compare("sgt", a, b), a, b)

    def compare(self, relation: str, a: Operand, b: Operand) -> str:
        """i1: relation is LLVM's (eq, ne, slt, ...)."""
        return self.let(f"icmp {relation} i64 {a}, {b}")

    def both(self, *conditions: str) -> str:
        """i1: all of the conditions."""
        value = conditions[0]
        for condition in conditions[1:]:
            value = self.let(f"and i1 {value}, {condition}")
        return value

    def either(self, *conditions: str) -> str:
        """i1: any of the conditions."""
        value = conditions[0]
        for condition in conditions[1:]:
            value = self.let(f"or i1 {value}, {condition}")
        return value

    def negate(self, condition: str) -> str:
        """i1: not."""
        return self.let(f"xor i1 {condition}, true")

    def select(self, condition: str, a: Operand, b: Operand) -> str:
        """A if condition else b."""
        return self.let(f"select i1 {condition}, i64 {a}, i64 {b}")

    # -- memory ----------------------------------------------------------------------------------------------------

    def pointer(self, address: Operand) -> str:
        """An i64 as a pointer."""
        return self.let(f"inttoptr i64 {address} to ptr")

    def offset(self, pointer: str, *byte_counts: Operand) -> str:
        """Pointer + bytes."""
        for count in byte_counts:
            if count != 0:
                pointer = self.let(f"getelementptr i8, ptr {pointer}, i64 {count}")
        return pointer

    def fetch(self, pointer: str) -> None:
        """Ask for a cache line in the second level; any address may be asked for."""
        self.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 2, i32 1)")

    def word(self, pointer: str, index: Operand) -> str:
        """The i64 at pointer[index]."""
        return self.let(f"load i64, ptr {self.offset(pointer, self.mul(index, 8))}")

    def set_word(self, pointer: str, index: Operand, value: Operand) -> None:
        """pointer[index] = value, an i64."""
        self.do(f"store i64 {value}, ptr {self.offset(pointer, self.mul(index, 8))}")

    # -- control ---------------------------------------------------------------------------------------------------

    def jump(self, label: str, mark: str = "") -> None:
        """An unconditional branch."""
        self.do(f"br label %{label}" + (f", {mark}" if mark else ""))

    def label(self, label: str) -> None:
        """Start a block."""
        self._lines.append(f"{label}:")
        self._block = label

    @contextmanager
    def loop(self, start: Operand, stop: Operand, step: Operand = 1) -> Iterator[str]:
        """``for i in range(start, stop, step)`` with a positive step; yields i."""
        self._count += 1
        n = self._count
        head, body, done, index = f"head{n}", f"body{n}", f"done{n}", f"%i{n}"
        before = self._block
        self.jump(head)
        self.label(head)
        phi = len(self._lines)
        self._lines.append("")  # the phi needs the name of the last block of the body, known only later
        inside = self.compare("slt", index, stop)
        self.do(f"br i1 {inside}, label %{body}, label %{done}")
        self.label(body)
        yield index
        following = self.add(index, step)
        self._lines[phi] = f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{self._block} ]"
        self.jump(head, self.module.loop_mark())
        self.label(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """``if condition:``."""
        self._count += 1
        then, done = f"then{self._count}", f"after{self._count}"
        self.do(f"br i1 {condition}, label %{then}, label %{done}")
        self.label(then)
        yield
        self.jump(done)
        self.label(done)

    def return_if(self, condition: str, result: str = "void") -> None:
        """``if condition: return``."""
        self._count += 1
        leave, stay = f"leave{self._count}", f"stay{self._count}"
        self.do(f"br i1 {condition}, label %{leave}, label %{stay}")
        self.label(leave)
        self.do(f"ret {result}")
        self.label(stay)


class VectorCode(Code):
    """`Code` with vectors of one element type."""

    def __init__(
        self, module: Module, name: str, params: Sequence[str], vectors: Vectors, scalar: Scalar, internal: bool = False
    ):
        super().__init__(module, name, params, internal=internal)
        self.vectors, self.scalar = vectors, scalar
        self.lanes = vectors.lanes(scalar)
        self.vector = f"<{self.lanes} x {scalar.llvm}>"
        self.mask_type = f"<{self.lanes} x i1>"
        self._suffix = f"v{self.lanes}f{scalar.size * 8}"

    def splat(self, value: str) -> str:
        """The scalar in every lane."""
        first = self.let(f"insertelement {self.vector} poison, {self.scalar.llvm} {value}, i64 0")
        return self.let(
            f"shufflevector {self.vector} {first}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def lane_mask(self, count: Operand) -> str:
        """Lanes below `count`."""
        wide = f"<{self.lanes} x i32>"
        clipped = self.minimum(self.maximum(count, 0), self.lanes)
        short = self.let(f"trunc i64 {clipped} to i32")
        first = self.let(f"insertelement {wide} poison, i32 {short}, i64 0")
        limit = self.let(f"shufflevector {wide} {first}, {wide} poison, {wide} zeroinitializer")
        numbers = ", ".join(f"i32 {lane}" for lane in range(self.lanes))
        return self.let(f"icmp ult {wide} <{numbers}>, {limit}")

    def load_scalar(self, pointer: str) -> str:
        """One element."""
        return self.let(f"load {self.scalar.llvm}, ptr {pointer}, align {self.scalar.size}")

    def load(self, pointer: str, mask: str | None = None) -> str:
        """A vector; lanes outside the mask are neither read nor non-zero."""
        if mask is None:
            return self.let(f"load {self.vector}, ptr {pointer}, align {self.scalar.size}")
        name = f"llvm.masked.load.{self._suffix}.p0"
        self.module.declare(f"declare {self.vector} @{name}(ptr, {self.mask_type}, {self.vector})")
        return self.let(
            f"call {self.vector} @{name}(ptr align {self.scalar.size} {pointer}, {self.mask_type} {mask}, "
            f"{self.vector} zeroinitializer)"
        )

    def store(self, value: str, pointer: str, mask: str | None = None) -> None:
        """Write a vector; lanes outside the mask are not touched."""
        if mask is None:
            self.do(f"store {self.vector} {value}, ptr {pointer}, align {self.scalar.size}")
            return
        name = f"llvm.masked.store.{self._suffix}.p0"
        self.module.declare(f"declare void @{name}({self.vector}, ptr, {self.mask_type})")
        self.do(
            f"call void @{name}({self.vector} {value}, ptr align {self.scalar.size} {pointer}, {self.mask_type} {mask})"
        )

    def multiply_add(self, a: str, b: str, c: str) -> str:
        """A * b + c, fused where the processor can (a call of libm's fma would be hopeless elsewhere)."""
        name = f"llvm.fmuladd.{self._suffix}"
        self.module.declare(f"declare {self.vector} @{name}({self.vector}, {self.vector}, {self.vector})")
        return self.let(f"call {self.vector} @{name}({self.vector} {a}, {self.vector} {b}, {self.vector} {c})")

    def plus(self, a: str, b: str) -> str:
        """The sum of two vectors."""
        return self.let(f"fadd {self.vector} {a}, {b}")

    def lane_sum(self, value: str) -> str:
        """The sum over the lanes, in a tree."""
        name = f"llvm.vector.reduce.fadd.{self._suffix}"
        kind = self.scalar.llvm
        self.module.declare(f"declare {kind} @{name}({kind}, {self.vector})")
        return self.let(f"call reassoc {kind} @{name}({kind} -0.0, {self.vector} {value})")


# What a tile reads from its parameter block: i64 words, strides in bytes. `ahead` is an address that is fetched into
# the second-level cache at the first step, and `ahead_step` what is added to it after each; `next` and `next_step` are
# for `sweep`.
PARAMS = (
    "a_row", "c_row", "outer", "a_outer", "b_outer", "inner", "a_inner", "b_inner", "ahead", "ahead_step", "next",
    "next_step",
)  # fmt: skip

TILE_SIGNATURE = "void (ptr, ptr, ptr, i64, i64, ptr)"


def tile_rows(vectors: Vectors, width: int) -> range:
    """The numbers of rows for which a tile `width` vectors wide exists."""
    return range(1, vectors.rows_of(width) + 1)


def write_tile(module: Module, vectors: Vectors, scalar: Scalar, rows: int, width: int, full: bool) -> str:
    """Write the tile of `rows` rows and `width` vectors; returns its symbol.

    ``tile(A, B, C, columns, beta, params)``: params as in `PARAMS`. columns: valid columns of B and C, in
    ((width / 2) * lanes, width * lanes]; full: the tile may take all its columns for valid.
    """
    name = f"tile_{scalar.name}_{rows}x{width}" + ("_full" if full else "")
    f = VectorCode(
        module, name, ["ptr a", "ptr b", "ptr c", "i64 columns", "i64 beta", "ptr params"], vectors, scalar, True
    )
    p = {word: f.word("%params", position) for position, word in enumerate(PARAMS)}
    # Narrower tiles exist, so only the upper half of the vectors can be partial.
    masks: list[str | None] = [
        None if full or 2 * j < width - 1 else f.lane_mask(f.sub("%columns", j * f.lanes)) for j in range(width)
    ]
    sums = [[f.variable(f.vector, "zeroinitializer") for _ in range(width)] for _ in range(rows)]
    ahead = f.variable("ptr", f.pointer(p["ahead"]))
    with f.loop(0, p["outer"]) as outer:
        a = f.offset("%a", f.mul(outer, p["a_outer"]))
        b = f.offset("%b", f.mul(outer, p["b_outer"]))
        _write_inner_loop(f, a, b, ahead, p, sums, masks)
    _write_epilogue(f, p["c_row"], sums, masks)
    f.finish()
    return name


def _write_inner_loop(
    f: VectorCode,
    a: str,
    b: str,
    ahead: Variable,
    p: dict[str, str],
    sums: list[list[Variable]],
    masks: Sequence[str | None],
) -> None:
    """One step per turn: with 28 products a step, seven pointer additions hide behind them, and strides stay free.

    An x86 address is base + stride * {1, 2, 4, 8}: one moving pointer serves rows 0, 1 and 2 of its group of three.
    """
    step = f.scalar.size * f.lanes
    pointers = [f.variable("ptr", f.offset(a, f.mul(p["a_row"], first))) for first in range(0, len(sums), 3)]
    panel = f.variable("ptr", b)
    with f.loop(0, p["inner"]):
        here = panel.get()
        columns = [f.load(f.offset(here, j * step), mask) for j, mask in enumerate(masks)]
        panel.set(f.offset(here, p["b_inner"]))
        f.fetch(ahead.get())
        ahead.set(f.offset(ahead.get(), p["ahead_step"]))
        for group, pointer in enumerate(pointers):
            first = pointer.get()
            for row in range(3 * group, min(3 * group + 3, len(sums))):
                value = f.splat(f.load_scalar(f.offset(first, f.mul(p["a_row"], row - 3 * group) if row % 3 else 0)))
                for j, column in enumerate(columns):
                    sums[row][j].set(f.multiply_add(value, column, sums[row][j].get()))
            pointer.set(f.offset(first, p["a_inner"]))


def _write_epilogue(f: VectorCode, c_row: str, sums: list[list[Variable]], masks: Sequence[str | None]) -> None:
    step = f.scalar.size * f.lanes
    targets = [f.offset("%c", f.mul(c_row, row)) if row else "%c" for row in range(len(sums))]
    with f.when(f.compare("ne", "%beta", 0)):
        for row, target in zip(sums, targets, strict=True):
            for j, mask in enumerate(masks):
                row[j].set(f.plus(row[j].get(), f.load(f.offset(target, j * step), mask)))
    for row, target in zip(sums, targets, strict=True):
        for j, mask in enumerate(masks):
            f.store(row[j].get(), f.offset(target, j * step), mask)


def write_tile_table(module: Module, vectors: Vectors, scalar: Scalar) -> str:
    """Write every tile and a table of them; returns the table's symbol.

    The table is [kind][log2 width][rows - 1] (`table_index`); kind 1 holds the tiles for full widths.
    """
    entries: list[str] = []
    for full in (False, True):
        for width in vectors.widths():
            made = {rows: "null" for rows in range(1, vectors.rows + 1)}
            for rows in tile_rows(vectors, width):
                if full and vectors.lane_masks:
                    made[rows] = f"@tile_{scalar.name}_{rows}x{width}"
                else:
                    made[rows] = "@" + write_tile(module, vectors, scalar, rows, width, full)
            entries += made.values()
    table = f"tiles_{scalar.name}"
    listed = ", ".join(f"ptr {entry}" for entry in entries)
    module.add(f"@{table} = internal constant [{len(entries)} x ptr] [{listed}]\n")
    return table
