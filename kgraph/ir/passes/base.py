"""What every pass is made of: `Pass`, the runner around it, and pattern rewriting.

A pass is a frozen dataclass; its fields are its options, and the spelling on the command line follows from them:
`fuse-elementwise{max-ops=16}`. `run_passes` verifies, runs, verifies, times and dumps; a failure names the pass and
leaves a reproducer. `rewrite` applies patterns, each of which matches one op, until none does.
"""

from __future__ import annotations

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from kgraph.config import settings
from kgraph.errors import CompileError, InternalError, KGraphError, TargetError, UnsupportedError
from kgraph.ir.builder import Builder
from kgraph.ir.graph import Graph, Literal, Node, Value
from kgraph.ir.opdef import OpDef
from kgraph.ir.types import numpy_dtype
from kgraph.ir.verifier import verify_graph

__all__ = [
    "FileDump",
    "Pass",
    "PassContext",
    "Pattern",
    "Rewriter",
    "pipeline_text",
    "rewrite",
    "run_passes",
]

# Mistakes of the user that a pass may find; everything else that a pass raises is a fault of kgraph.
_OF_THE_USER = (UnsupportedError, TargetError, CompileError)


# -- passes ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Pass(ABC):
    """One step from graph to graph, in place.  Subclasses are frozen dataclasses; the fields are the options.

    Attributes:
        name: the spelling in pipelines, with dashes.
        ensures: the stage of `kgraph.ir.verifier.STAGES` that the graph is in afterwards; empty: the one it was in.
    """

    name: ClassVar[str]
    ensures: ClassVar[str] = ""

    @abstractmethod
    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything changed."""

    def __str__(self) -> str:
        options = [
            f"{each.name.replace('_', '-')}={_option_text(getattr(self, each.name))}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]
        return f"{self.name}{{{' '.join(options)}}}" if options else self.name


def _option_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def pipeline_text(passes: Iterable[Pass]) -> str:
    """The spelling of a pipeline: `simplify,cse,dce`."""
    return ",".join(map(str, passes))


@dataclass
class PassContext:
    """What passes report, and how they are watched.

    Attributes:
        verify: verify before the first pass and after each one (`KGRAPH_VERIFY`).
        dump: called with (stage name, text) after each pass that changed the graph; see `FileDump`.
        declined: (pass, what it did not do and why).
        timings: (pass, seconds), in order.
    """

    verify: bool = field(default_factory=lambda: settings().verify)
    dump: Callable[[str, str], None] | None = None
    declined: list[tuple[str, str]] = field(default_factory=list)
    timings: list[tuple[str, float]] = field(default_factory=list)
    running: str = ""

    def decline(self, note: str) -> None:
        """Note what the running pass did not do, and why: `not fused: %4 has 2 users`."""
        self.declined.append((self.running, note))

    def explain(self) -> str:
        """The notes, one per line."""
        return "\n".join(f"{name}: {note}" for name, note in self.declined)


class FileDump:
    """A dump hook that writes numbered files (`00-graph.kg`, `01-simplify.kg`, ...), or prints when given `-`."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.count = 0

    def __call__(self, stage: str, text: str) -> None:
        """Write one stage."""
        name = f"{self.count:02d}-{stage}.kg"
        self.count += 1
        if self.directory == "-":
            sys.stdout.write(f"// {name}\n{text}\n")
            return
        directory = Path(self.directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text + "\n", encoding="utf-8", newline="\n")


def run_passes(graph: Graph, passes: Sequence[Pass], ctx: PassContext | None = None, stage: str = "graph") -> bool:
    """Run `passes` over `graph` in order; True when anything changed.

    Args:
        graph: rewritten in place.
        passes: in order; see `kgraph.ir.passes.pipeline`.
        ctx: receives notes and timings; by default one that follows the settings.
        stage: the stage of `kgraph.ir.verifier.STAGES` that the graph is in at the start.

    Raises:
        VerifyError: the graph was invalid before the first pass.
        InternalError: a pass failed or left an invalid graph; names the pass, those before it, and a reproducer.
        UnsupportedError, TargetError, CompileError: as raised by a pass about the user's program.
    """
    ctx = ctx or PassContext()
    if ctx.verify:
        verify_graph(graph, stage)
    before = graph.copy()
    try:
        changed = False
        for position, each in enumerate(passes):
            try:
                stage = each.ensures or stage
                changed |= _run_one(graph, each, ctx, stage)
            except _OF_THE_USER:
                raise
            except Exception as error:
                raise _failure(error, before, passes, position) from error
    finally:
        # The copy shares literals with the graph; their uses by the copy would keep it alive.
        _release(before)
    return changed


def _run_one(graph: Graph, each: Pass, ctx: PassContext, stage: str) -> bool:
    ctx.running = each.name
    start = perf_counter()
    changed = each.run(graph, ctx)
    ctx.timings.append((each.name, perf_counter() - start))
    if ctx.verify:
        verify_graph(graph, stage)
    if changed and ctx.dump is not None:
        ctx.dump(each.name, str(graph))
    return changed


def _failure(error: Exception, before: Graph, passes: Sequence[Pass], position: int) -> InternalError:
    """The error that tells the user which pass failed and where the reproducer is."""
    pipeline = pipeline_text(passes[: position + 1])
    first = error.message if isinstance(error, KGraphError) else f"{type(error).__name__}: {error}"
    place = error.where if isinstance(error, KGraphError) else ""
    return InternalError(
        f"the pass {passes[position]} failed: {first}",
        where=place,
        got="after " + pipeline_text(passes[:position]) if position else "as the first pass",
        fix=f"this is a fault of kgraph; please report it with {_reproducer(before, pipeline)}",
    )


def _reproducer(graph: Graph, pipeline: str) -> str:
    """Write the graph and the pipeline that fails on it to a new file; returns its name."""
    try:
        text = f"// kgraph opt this-file -p {pipeline}\n// pipeline: {pipeline}\n{graph}\n"
        handle, name = tempfile.mkstemp(prefix="kgraph-reproducer-", suffix=".kg")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except (OSError, KGraphError) as error:
        return f"this pipeline: {pipeline} (no reproducer could be written: {error})"
    return name


def _release(graph: Graph) -> None:
    for node in graph.nodes:
        node.drop_uses()
        for region in node.regions:
            _release(region)


# -- rewriting ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Pattern:
    """A local rewrite.

    Attributes:
        ops: names of the ops it may match; empty for every op.
        apply: looks at a node; makes new nodes and calls `Rewriter.replace` when it matches.  True when it did.
    """

    ops: tuple[str, ...]
    apply: Callable[[Node, Rewriter], bool]


class Rewriter(Builder):
    """Builds new nodes before the matched one, with its location, and replaces results; keeps uses exact.

    The list of nodes is rebuilt once per sweep, so inserting and erasing cost the same at every place.
    """

    def __init__(self, graph: Graph, ctx: PassContext) -> None:
        super().__init__(graph, into=[])
        self.ctx = ctx
        self._required = set(graph.required())
        self._moved: dict[Value, Value] = {}  # required value -> what stands for it; applied at the end of the sweep
        self._erased: set[Node] = set()
        self._dirty: set[Node] = set()
        self._later: set[Node] = set()

    def is_required(self, value: Value) -> bool:
        """Whether `value` is an output or an update of the graph."""
        return value in self._required

    def has_one_use(self, value: Value) -> bool:
        """Whether exactly one operand of one node reads `value`, and nothing else does."""
        return len(value.uses) == 1 and value not in self._required and next(iter(value.uses.values())) == 1

    def is_dead(self, node: Node) -> bool:
        """Whether nobody reads any result of `node`."""
        return not any(value.uses or value in self._required for value in node.results)

    def modify(self, node: Node) -> None:
        """Note that a pattern changed `node` in place (operands through `set_operand`)."""
        self._touch_users(node)

    def replace(self, node: Node, *values: Value) -> bool:
        """Use `values` wherever the results of `node` were used, and erase `node`; returns True.

        A literal that becomes an output or an update is made a `constant` first.

        Raises:
            InternalError: the number or the types of the values differ from those of the results.
        """
        if [value.type for value in values] != [value.type for value in node.results]:
            raise InternalError(
                f"a rewrite of {node.op.name} changes its type", got=str(values), needed=str(node.results)
            )
        self._touch_users(node)
        for old, new in zip(node.results, values):
            self._replace_value(old, new)
        self.erase(node)
        return True

    def _replace_value(self, old: Value, new: Value) -> None:
        if old in self._required:
            if isinstance(new, Literal):
                new = self._as_constant(new)
            self._moved[old] = new
            self._required.remove(old)
            self._required.add(new)
        for user in list(old.uses):
            for position, operand in enumerate(user.operands):
                if operand is old:
                    user.set_operand(position, new)
        if old.name and not new.name and new.producer is not None:
            new.name, old.name = old.name, ""

    def _as_constant(self, value: Literal) -> Value:
        array = np.asarray(value.number, numpy_dtype(value.dtype))
        return self.node("constant", [], {"value": array}).results[0]

    def _touch_users(self, node: Node) -> None:
        for value in node.results:
            self._dirty.update(value.uses)

    def erase(self, node: Node) -> None:
        """Drop `node`, whose results nobody reads, and what was only there for it."""
        stack = [node]
        while stack:
            dead = stack.pop()
            if dead in self._erased:
                continue
            self._erased.add(dead)
            producers = [value.producer for value in dead.operands if value.producer is not None]
            dead.drop_uses()
            for producer in producers:
                if producer in self._erased:
                    continue
                if self.is_dead(producer):
                    stack.append(producer)
                else:
                    self._later.add(producer)
                    for value in producer.results:
                        if len(value.uses) == 1:  # patterns that ask for a single reader look from that reader
                            self._later.update(value.uses)

    # -- driver ---------------------------------------------------------------------------------------------------
    def sweep(self, table: Callable[[OpDef], Sequence[Pattern]], everything: bool) -> bool:
        """Visit the nodes in program order once; new nodes are visited in their turn, before those that use them."""
        changed = False
        kept: list[Node] = []
        self._dirty, self._later = self._later, set()
        for origin in self.graph.nodes:
            stack = [origin]
            while stack:
                node = stack.pop()
                if node in self._erased:
                    continue
                if (everything or node in self._dirty) and self._visit(node, table):
                    changed = True
                    fresh, self.nodes = self.nodes, []
                    self._dirty.update(fresh)
                    # A node that was changed in place is visited again, behind what was inserted for it.
                    stack += [node, *reversed(fresh)]
                    self._dirty.add(node)
                    continue
                kept.append(node)
        graph = self.graph
        graph.nodes[:] = [node for node in kept if node not in self._erased]
        if self._moved:
            graph.outputs = [self._final(value) for value in graph.outputs]
            graph.updates = [(param, self._final(value)) for param, value in graph.updates]
            self._moved.clear()
        return changed

    def _final(self, value: Value) -> Value:
        while value in self._moved:
            value = self._moved[value]
        return value

    def _visit(self, node: Node, table: Callable[[OpDef], Sequence[Pattern]]) -> bool:
        self.loc = node.loc
        for pattern in table(node.op):
            if pattern.apply(node, self):
                return True
            if self.nodes:
                raise InternalError(f"a pattern of {node.op.name} made nodes and did not match")
        return False


_MAX_SWEEPS = 8


def rewrite(graph: Graph, patterns: Sequence[Pattern], ctx: PassContext) -> bool:
    """Apply `patterns` to `graph` and its regions until none matches; True when any did.

    One sweep in program order settles nearly everything, since new nodes are visited at once and users come later.
    Further sweeps visit only nodes that lost a user.  Time is linear in the number of nodes in practice.
    """
    by_op: dict[str, list[Pattern]] = {}

    def table(op: OpDef) -> Sequence[Pattern]:
        found = by_op.get(op.name)
        if found is None:
            found = by_op[op.name] = [each for each in patterns if not each.ops or op.name in each.ops]
        return found

    return _rewrite(graph, table, ctx)


def _rewrite(graph: Graph, table: Callable[[OpDef], Sequence[Pattern]], ctx: PassContext) -> bool:
    changed = False
    for node in graph.nodes:
        for region in node.regions:
            changed |= _rewrite(region, table, ctx)
    rewriter = Rewriter(graph, ctx)
    for number in range(_MAX_SWEEPS):
        if not rewriter.sweep(table, everything=number == 0):
            break
        changed = True
        if not rewriter._later:
            break
    return changed
