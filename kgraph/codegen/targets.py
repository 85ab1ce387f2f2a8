"""The table of targets.  A target is a module with `compile_program(graph, options) -> Program`, loaded when first
asked for.

Targets never import each other; a new one is a line in `TARGETS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from kgraph.errors import TargetError

if TYPE_CHECKING:
    from kgraph.codegen.options import CompileOptions
    from kgraph.codegen.program import Program
    from kgraph.ir.graph import Graph

    CompileProgram = Callable[[Graph, CompileOptions], Program]

__all__ = [
    "TARGETS",
    "Target",
    "check_target",
    "compile_function",
    "get_num_threads",
    "missing",
    "set_num_threads",
]


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        name: as given to `compile(target=...)`.
        module: module with `compile_program`; empty for a target that is not there yet.
        doc: one line for `kgraph info`.
        needs: packages that must be installed.
    """

    name: str
    module: str
    doc: str
    needs: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("reference", "kgraph.codegen.reference", "NumPy, op by op: slow, the oracle for the others"),
        Target("cpu", "kgraph.codegen.cpu.target", "native kernels for this CPU", ("numba", "llvmlite")),
        Target("cuda", "", "NVIDIA GPUs: not part of this version"),
    )
}


def missing(name: str) -> str:
    """Why target `name` cannot be used here; empty when it can.  Loads none of the target's packages."""
    target = TARGETS[name]
    if not target.module:
        return "not part of this version"
    absent = [package for package in target.needs if find_spec(package) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    try:
        present = find_spec(target.module) is not None
    except ModuleNotFoundError:
        present = False
    return "" if present else "not part of this installation"


def check_target(name: str) -> None:
    """Check that target `name` can be used, without loading it.

    Raises:
        TargetError: the target is unknown, or cannot be used on this machine.
    """
    if name not in TARGETS:
        near = get_close_matches(str(name), TARGETS, 1)
        raise TargetError(
            f"unknown target {name!r}",
            needed="one of " + ", ".join(TARGETS),
            fix=f"did you mean {near[0]!r}?" if near else "",
        )
    reason = missing(name)
    if reason:
        raise TargetError(
            f"target {name!r} cannot be used: {reason}",
            fix='use target="cpu", or target="reference" (slow)' if name == "cuda" else 'use target="reference" (slow)',
        )


def compile_function(name: str) -> CompileProgram:
    """The `compile_program` of a target.

    Raises:
        TargetError: the target is unknown, or cannot be used on this machine.
    """
    check_target(name)
    return cast("CompileProgram", import_module(TARGETS[name].module).compile_program)


def set_num_threads(threads: int) -> None:
    """Let native programs use this many threads from now on.  Results do not depend on it.

    Raises:
        InvalidArgumentError: not a number from 1 to 256.
    """
    import_module("kgraph.codegen.cpu.pool").set_num_threads(threads)


def get_num_threads() -> int:
    """Threads that native programs use: what was set, else `KGRAPH_NUM_THREADS`, else the usable processors."""
    return int(import_module("kgraph.codegen.cpu.pool").get_num_threads())
