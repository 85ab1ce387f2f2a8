"""From a scheduled graph to kernel sources: one entry per family."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kgraph.codegen.cpu.attention import emit_attention, emit_attention_grad
from kgraph.codegen.cpu.elementwise import emit_map
from kgraph.codegen.cpu.kernel import EmittedKernel, KernelContext
from kgraph.codegen.cpu.moves import emit_concat, emit_cumsum, emit_pool_grad, emit_scatter
from kgraph.codegen.cpu.products import emit_gemm
from kgraph.codegen.cpu.reductions import emit_cols, emit_rows
from kgraph.codegen.cpu.sorting import emit_argsort
from kgraph.codegen.cpu.winograd_kernels import emit_convolution, emit_kernel_gradient
from kgraph.codegen.memory import MemoryPlan
from kgraph.config import Convolution
from kgraph.errors import UnsupportedError
from kgraph.ir.graph import Graph, Node

__all__ = ["FAMILIES", "emit_kernels", "kernels_of"]

FAMILIES: dict[str, Callable[[KernelContext], EmittedKernel]] = {
    "map": emit_map,
    "rows": emit_rows,
    "cols": emit_cols,
    "gemm": emit_gemm,
    "conv": emit_convolution,
    "conv_wgrad": emit_kernel_gradient,
    "pool_grad": emit_pool_grad,
    "scatter": emit_scatter,
    "cumsum": emit_cumsum,
    "argsort": emit_argsort,
    "concat": emit_concat,
    "attention": emit_attention,
    "attention_grad": emit_attention_grad,
}


_TYPES = ("f32", "f64", "i8", "i32", "i64", "u8", "u32", "bool")


def kernels_of(graph: Graph) -> Iterator[Node]:
    """The kernels of a schedule in program order, those of loop bodies included."""
    for node in graph.nodes:
        if node.op.name == "kernel":
            yield node
        for region in node.regions if node.op.name == "scan" else ():
            yield from kernels_of(region)


def _check_types(kernel: Node) -> None:
    for node in kernel.regions[0].nodes:
        for value in (*node.operands, *node.results):
            if value.dtype not in _TYPES:
                raise UnsupportedError(
                    f"{node.op.name} of {value.type} has no native kernel",
                    where=str(node.loc),
                    needed="one of " + ", ".join(_TYPES),
                    fix="cast to f32 before, and back after",
                )


def _piece_count(node: Node) -> int:
    inner = node.regions[0].outputs[0].producer
    return len(inner.operands) if inner is not None else 0


def emit_kernels(graph: Graph, plan: MemoryPlan, convolution: Convolution = "auto") -> dict[Node, EmittedKernel]:
    """Emit every kernel of a schedule; a kernel with nothing to do (a concatenation in place) is left out.

    convolution: the algorithm, as in `CompileOptions`.
    """
    layouts = plan.layouts()
    emitted: dict[Node, EmittedKernel] = {}
    for node in kernels_of(graph):
        _check_types(node)
        pieces = plan.written_in_place.get(node, set())
        if node.attrs["family"] == "concat" and len(pieces) == _piece_count(node):
            continue
        ctx = KernelContext(node, layouts, plan.takes_over.get(node, {}))
        ctx.convolution = convolution
        ctx.in_place = {k for k, value in enumerate(node.operands) if value in pieces}
        emitted[node] = FAMILIES[node.attrs["family"]](ctx)
    return emitted
