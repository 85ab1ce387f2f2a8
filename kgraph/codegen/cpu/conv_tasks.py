"""How a convolution is cut into tasks: images, bands of output rows, blocks of output channels.

A task packs the weights of its channels and reads the pixels of its rows, so the fewer and squarer the tasks, the less
is done twice; the more of them, the evener the shares of threads. Invariant: the cut depends on sizes only, never on
the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from kgraph.codegen.cpu.tilelib import A_ALIAS, A_COLUMNS, PACK_ROWS
from kgraph.codegen.cpu.writer import CeilDiv
from kgraph.ir.dims import DimLike

__all__ = ["TASK_TERMS", "Cut", "CutSizes", "TaskCut", "best_cut"]

TASK_TERMS = 1_000_000
"""Multiply-adds of a task, at least: some 15 microseconds."""

# Costs in multiply-adds, as measured.
STREAM = 1  # of an element of the weights, for each tile of rows that reads it where it lies
PACK = 4  # of an element of the weights, for each task that packs it
FAR = 8  # of an element of weights that no second-level cache holds, for each task that reads it
FAR_BYTES = 1 << 20
READ = 8  # of an element of the pictures, for each block of channels that reads it
COPY = 4  # of an element of a picture that is copied, since its pixels share few sets of the cache
COLLISIONS = 1.25  # by how much such pixels slow a product that does not copy them
SPILL = 16  # of an element of a result that has left the second-level cache when elementwise work reads it
SPILL_ELEMENTS = 1 << 16
START = 40_000  # of a task
THREADS = ((2, 2), (4, 1), (8, 1))  # numbers of threads between which shares are to be even, each with a weight

TILE_ROWS = 14
COLUMNS = 32  # channels of a block are a multiple of this: the width of a tile


def pieces(extent: int, size: int) -> int:
    """How many pieces of `size` an extent has, at least one."""
    return max(1, -(-extent // max(1, size)))


@dataclass(frozen=True)
class CutSizes:
    """What decides: `images` of `rows` x `width` pixels, `columns` output channels, `terms` products for an element.

    product: whether it is a plain product of all pixels with the weights, a kernel of one pixel.
    """

    images: int
    rows: int
    width: int
    columns: int
    terms: int
    product: bool


@dataclass(frozen=True)
class Cut:
    """Images, rows and channels of a task; bands of an image, blocks of channels, and the number of tasks."""

    images: int
    rows: int
    columns: int
    bands: int
    blocks: int
    tasks: int


def _steps(extent: int) -> Iterator[int]:
    """Sizes of pieces, ascending, one for each number of pieces: those between differ only in how uneven they are."""
    seen = 0
    for count in range(max(1, extent), 0, -1):
        size = pieces(extent, count)
        if size != seen:
            seen = size
            yield size


def _widths(columns: int) -> Iterator[int]:
    """Widths of blocks; none that leaves a single column, whose sum has another order (see `tilelib`)."""
    width = COLUMNS
    while width < columns:
        if columns % width != 1:
            yield width
        width *= 2
    yield max(1, columns)


@lru_cache(maxsize=1024)
def best_cut(sizes: CutSizes, least: int = 0, grain: int = TASK_TERMS) -> Cut:
    """The cheapest cut, by a count of multiply-adds.

    least: pixels of a task, at least; then channels are not cut. grain: multiply-adds of a task, at least.
    """
    most = max(1, sizes.images * sizes.rows * sizes.width * sizes.columns * sizes.terms // grain)
    heights = [(1, rows) for rows in _steps(sizes.rows)]
    heights += [(images, max(1, sizes.rows)) for images in _steps(sizes.images) if images > 1]
    widths = [sizes.columns] if least else list(_widths(sizes.columns))
    cuts = [_cut(sizes, *height, columns) for height in heights for columns in widths]
    fit = [cut for cut in cuts if cut.tasks <= most and cut.images * cut.rows * sizes.width >= least]
    return min(fit or cuts[-1:], key=lambda cut: _cost(sizes, cut))


def _cut(sizes: CutSizes, images: int, rows: int, columns: int) -> Cut:
    bands, blocks = pieces(sizes.rows, rows), pieces(sizes.columns, columns)
    return Cut(images, rows, columns, bands, blocks, pieces(sizes.images, images) * bands * blocks)


def _cost(sizes: CutSizes, cut: Cut) -> float:
    """Time of all threads until the last task is done."""
    pixels = cut.images * cut.rows * sizes.width
    weights = STREAM * pieces(pixels, TILE_ROWS) if sizes.product and pixels < PACK_ROWS else PACK
    if sizes.columns * sizes.terms * 4 > FAR_BYTES:
        weights += FAR
    products: float = pixels * cut.columns
    if sizes.product and sizes.terms * 4 % A_ALIAS == 0:
        products = products + COPY * pixels if cut.columns >= A_COLUMNS else products * COLLISIONS
    task = (products + weights * cut.columns + READ * pixels) * sizes.terms + START
    if pixels * cut.columns > SPILL_ELEMENTS:
        task += SPILL * pixels * cut.columns
    return sum(weight * threads * pieces(cut.tasks, threads) for threads, weight in THREADS) * task


class TaskCut:
    """The cut of a kernel whose sizes may be known only when it is bound."""

    def __init__(
        self, images: DimLike, rows: DimLike, width: DimLike, columns: DimLike, terms: DimLike, product: bool = False
    ) -> None:
        self.dims, self.product = (images, rows, width, columns, terms), product

    def sizes(self, ev: Callable[[DimLike], int]) -> CutSizes:
        """The numbers."""
        images, rows, width, columns, terms = (ev(dim) for dim in self.dims)
        return CutSizes(images, rows, width, columns, terms, self.product)

    def part(self, name: str) -> CeilDiv:
        """An attribute of the `Cut`."""

        def compute(ev: Callable[[DimLike], int]) -> int:
            found: int = getattr(best_cut(self.sizes(ev)), name)
            return found

        return CeilDiv(compute, f"cut {name} {'|'.join(map(str, self.dims))} {self.product}")
