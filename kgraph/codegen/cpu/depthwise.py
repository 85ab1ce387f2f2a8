"""Depthwise convolutions: each channel has a kernel of its own, so channels fill the lanes of vectors.

Part of the tile library, by its conventions. There is no sum over channels, hence no matrix product: what counts is
that each weight is loaded once for several pixels, and that sums stay in registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgraph.codegen.cpu.tiles import SCALARS, Operand, Variable, VectorCode, Vectors, host_vectors

if TYPE_CHECKING:
    from kgraph.codegen.cpu.tilelib import Library

__all__ = ["depthwise_tasks", "write_depthwise"]

GROUPS = (8, 4, 1)
"""Pixels of a row that are computed together: their sums hide the latency of one another's additions."""
SUMS = 4  # sums that a row of the weight gradient runs in


def depthwise_tasks(channels: int, dtype: str = "f32", vectors: Vectors | None = None) -> int:
    """Number of tasks of `kg_depthwise_wgrad`: one for each vector of channels."""
    return -(-channels // (vectors or host_vectors()).lanes(SCALARS[dtype]))


def write_depthwise(lib: Library) -> None:
    """Write `kg_depthwise` and `kg_depthwise_wgrad`; `c_out` is the number of channels, `c_in` is not used."""
    for pixels in GROUPS:
        _write_group(lib, pixels)
    _write_forward(lib)
    _write_gradient(lib)


_GROUP = ("channels", "kh", "kw", "tap_row", "tap_col", "pixel", "w_row", "w_col", "y_pixel")


def _write_group(lib: Library, pixels: int) -> None:
    """``group(x, w, y, ...)``: neighbouring pixels of a row of the result; strides in elements."""
    arguments = ["ptr x", "ptr w", "ptr y", *(f"i64 {name}" for name in _GROUP)]
    f = lib.code(f"depthwise_{pixels}", arguments)
    whole = f.mul(f.div("%channels", f.lanes), f.lanes)

    def channels(c: Operand, mask: str | None) -> None:
        sums = [f.variable(f.vector, "zeroinitializer") for _ in range(pixels)]
        with f.loop(0, "%kh") as i, f.loop(0, "%kw") as j:
            weight = f.load(lib.step(f, "%w", (i, "%w_row"), (j, "%w_col"), (c, 1)), mask)
            source = lib.step(f, "%x", (i, "%tap_row"), (j, "%tap_col"), (c, 1))
            for pixel, total in enumerate(sums):
                value = f.load(lib.step(f, source, (pixel, "%pixel")), mask)
                total.set(f.multiply_add(value, weight, total.get()))
        for pixel, total in enumerate(sums):
            f.store(total.get(), lib.step(f, "%y", (pixel, "%y_pixel"), (c, 1)), mask)

    with f.loop(0, whole, f.lanes) as c:
        channels(c, None)
    with f.when(f.compare("slt", whole, "%channels")):
        channels(whole, f.lane_mask(f.sub("%channels", whole)))
    f.finish()


def _write_forward(lib: Library) -> None:
    f, p = lib.exported("kg_depthwise")
    x, w, y = (f.pointer(p[name]) for name in "xwy")
    pixel = f.mul(p["sw"], p["x_pixel"])
    sizes = p["c_out"], p["kh"], p["kw"], f.mul(p["dh"], p["x_row"]), f.mul(p["dw"], p["x_pixel"]), pixel
    numbers = [f"i64 {word}" for word in (*sizes, p["w_row"], p["w_col"], p["y_pixel"])]
    with f.loop(p["n_begin"], p["n_end"]) as n, f.loop(0, p["h_out"]) as h:
        source = lib.step(f, x, (n, p["x_image"]), (f.mul(h, p["sh"]), p["x_row"]))
        target = lib.step(f, y, (n, p["y_image"]), (h, p["y_row"]))
        for larger, pixels in zip((None, *GROUPS), GROUPS, strict=False):
            fits = f.compare("sge", p["w_out"], pixels)
            if larger is not None:
                fits = f.both(fits, f.compare("slt", p["w_out"], larger))
            last = f.sub(p["w_out"], pixels)
            with f.when(fits), f.loop(0, p["w_out"], pixels) as v:
                # The last group ends with the row, and computes again what it shares with the one before.
                first = f.minimum(v, last)
                places = lib.step(f, source, (first, pixel)), w, lib.step(f, target, (first, p["y_pixel"]))
                lib.call(f, f"depthwise_{pixels}", *(f"ptr {place}" for place in places), *numbers)
    f.finish()


def _write_gradient(lib: Library) -> None:
    f, p = lib.exported("kg_depthwise_wgrad")
    with f.loop(p["task_begin"], p["task_end"]) as task:
        c = f.mul(task, f.lanes)
        left = f.sub(p["c_out"], c)
        full = f.compare("sge", left, f.lanes)
        with f.when(full):
            _gradient_of_channels(lib, f, p, c, None)
        with f.when(f.negate(full)):
            _gradient_of_channels(lib, f, p, c, f.lane_mask(left))
    f.finish()


def _gradient_of_channels(lib: Library, f: VectorCode, p: dict[str, str], c: Operand, mask: str | None) -> None:
    """One vector of channels: every row of every image adds to each place of the kernel, in order."""
    x, w, y = (lib.step(f, f.pointer(p[name]), (c, 1)) for name in "xwy")
    pixel = f.mul(p["sw"], p["x_pixel"])
    whole = f.mul(f.div(p["w_out"], SUMS), SUMS)
    with f.loop(0, p["kh"]) as i, f.loop(0, p["kw"]) as j:
        f.store("zeroinitializer", lib.step(f, w, (i, p["w_row"]), (j, p["w_col"])), mask)
    with f.loop(p["n_begin"], p["n_end"]) as n, f.loop(0, p["h_out"]) as h:
        line = lib.step(f, y, (n, p["y_image"]), (h, p["y_row"]))
        corner = lib.step(f, x, (n, p["x_image"]), (f.mul(h, p["sh"]), p["x_row"]))
        with f.loop(0, p["kh"]) as i, f.loop(0, p["kw"]) as j:
            source = lib.step(f, corner, (f.mul(i, p["dh"]), p["x_row"]), (f.mul(j, p["dw"]), p["x_pixel"]))
            sums = [f.variable(f.vector, "zeroinitializer") for _ in range(SUMS)]

            def add(number: int, v: Operand, source: str = source, sums: list[Variable] = sums) -> None:
                a, b = f.load(lib.step(f, source, (v, pixel)), mask), f.load(lib.step(f, line, (v, p["y_pixel"])), mask)
                sums[number].set(f.multiply_add(a, b, sums[number].get()))

            with f.loop(0, whole, SUMS) as v:
                for number in range(SUMS):
                    add(number, f.add(v, number))
            with f.loop(whole, p["w_out"]) as v:
                add(0, v)
            target = lib.step(f, w, (i, p["w_row"]), (j, p["w_col"]))
            total = f.load(target, mask)
            for one in sums:
                total = f.plus(total, one.get())
            f.store(total, target, mask)
