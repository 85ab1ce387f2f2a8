"""`KGRAPH_CHECK_NAN`: run steps one at a time, and name the op where a value stopped being finite.

Before each step the variables are copied.  When loss or a new value of a variable is not finite, the step is replayed
from the copies on the reference interpreter, op by op, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgraph.codegen import Executable
from kgraph.errors import KGraphError
from kgraph.ir.graph import Graph, Node
from kgraph.ir.interpreter import interpret
from kgraph.trainer.steps import Step

__all__ = ["NotFiniteError", "first_not_finite", "run_watched"]

Array = np.ndarray[Any, np.dtype[Any]]


class NotFiniteError(KGraphError, ArithmeticError):
    """A step made NaN or infinity while `KGRAPH_CHECK_NAN` was set."""


def run_watched(
    step: Step, executable: Executable, batch: Callable[[], Mapping[str, Array]], run: Callable[[], None]
) -> None:
    """Run one step, and look at what it made.

    Args:
        step: that runs.
        executable: of the step.
        batch: gives the rows of this step by input name.
        run: runs it.

    Raises:
        NotFiniteError: loss or a variable is not finite; names layer, line and op.
    """
    before = {name: array.copy() for name, array in step.params.items()}
    run()
    updated = {param.name for param, _ in step.graph.updates}
    bad = [name for name in updated if not _finite(step.params[name]) and _finite(before[name])]
    if _finite(executable.output(0)) and not bad:
        return
    arrays = dict(batch())
    what = f"a {step.mode} step gave a loss of {float(np.asarray(executable.output(0)).ravel()[0])}"
    if _finite(executable.output(0)):
        what = f"a {step.mode} step gave a value of {sorted(bad)[0]} that is not finite"
    found = first_not_finite(step.graph, arrays, before)
    if found is None:
        raise NotFiniteError(
            what,
            where=f"model step {step.graph.name}",
            got="finite values of every op when replayed on the reference interpreter",
            fix="the compiled step and the reference differ: compile with target='reference' to go on, and report it",
        )
    node, operands, result = found
    count = int(np.count_nonzero(~np.isfinite(result)))
    raise NotFiniteError(
        what,
        where=f"{node.op.name} at {node.loc}" if str(node.loc) else node.op.name,
        got=f"{count} of {result.size} values of {node.results[0].type} are NaN or infinite; "
        + "operands: "
        + (", ".join(_range(array) for array in operands) or "none"),
        fix="lower the learning rate, clip the gradients, or guard this op (e.g. add an epsilon)",
    )


def first_not_finite(
    graph: Graph, inputs: Mapping[str, Array], params: Mapping[str, Array]
) -> tuple[Node, list[Array], Array] | None:
    """The first node, in program order, with a result that is not finite, its operands and that result.

    An infinite constant (a mask's -inf) does not count.

    Args:
        graph: of a step.
        inputs: arrays by name.
        params: arrays by name.
    """
    whole = graph.copy()
    values = [result for node in whole.nodes for result in node.results]
    whole.outputs, whole.updates = values, []
    results = interpret(
        whole, {v.name: inputs[v.name] for v in whole.inputs}, {v.name: params[v.name] for v in whole.params}
    )
    known: dict[int, Array] = {id(value): array for value, array in zip(values, results.outputs)}
    known.update({id(value): np.asarray(inputs[value.name]) for value in whole.inputs})
    known.update({id(value): np.asarray(params[value.name]) for value in whole.params})
    for node in whole.nodes:
        if not node.operands:
            continue
        for result in node.results:
            if not _finite(known[id(result)]):
                operands = [known[id(value)] for value in node.operands if id(value) in known]
                return node, operands, known[id(result)]
    return None


def _finite(array: Any) -> bool:
    array = np.asarray(array)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _range(array: Array) -> str:
    if array.dtype.kind != "f" or not array.size:
        return f"{array.dtype}{list(array.shape)}"
    with np.errstate(all="ignore"):
        return f"{list(array.shape)} from {array.min():.6g} to {array.max():.6g}"
