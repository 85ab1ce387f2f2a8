"""Loops: `scan_region` writes a Python step function as the region of an IR `scan`; `scan` is its face as in JAX and
Keras.

What the step function reads from outside (tensors, Variables) becomes an invariant of the loop by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.dispatch import has_symbolic, operation
from kgraph.core.tensors import TracedTensor, _NoValue
from kgraph.core.trace import current_trace
from kgraph.core.variable import Variable
from kgraph.errors import CallError, InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import Dim, DimLike, shape_volume
from kgraph.ir.ops.rules import broadcast_shapes
from kgraph.ops import making, math, shaping, taking
from kgraph.ops.convert import active, as_tensor, cast_to, must_equal, normal_axis

__all__ = [
    "associative_scan",
    "cond",
    "custom_gradient",
    "fori_loop",
    "map",
    "scan",
    "scan_region",
    "switch",
    "vectorize",
    "vectorized_map",
    "while_loop",
]

Step = Callable[[list[TracedTensor], list[TracedTensor]], tuple[Sequence[Any], Sequence[Any]]]


def scan_region(
    step: Step,
    inits: Sequence[Any],
    sequences: Sequence[Any],
    *,
    axis: int = 0,
    reverse: bool = False,
    length: DimLike | None = None,
) -> tuple[list[TracedTensor], list[TracedTensor]]:
    """A loop over the time axis, inside a trace.

    Args:
        step: (states, slices) -> (new states, outputs of this step); traced once.
        inits: first states.
        sequences: tensors that are walked along `axis`; a slice lacks that axis.
        axis: time axis of the sequences and of the stacked outputs.
        reverse: walk from the end; stacked outputs stay in natural order.
        length: number of steps, needed when there is no sequence.

    Returns:
        Final states, and the outputs of all steps stacked along `axis`.

    Raises:
        ShapeError: a state changes its shape or type from step to step.
    """
    trace = active("scan")
    states = [as_tensor(x) for x in inits]
    inputs = [as_tensor(x) for x in sequences]
    if inputs:
        must_equal([x.dims[axis] for x in inputs])
        length = inputs[0].dims[axis]
    if length is None:
        raise InvalidArgumentError("a scan without sequences needs a length")
    inner = trace.region("step")
    with inner:
        first = [inner.input(f"state_{i}", x.dims, x.dtype) for i, x in enumerate(states)]
        slices = [inner.input(f"slice_{i}", x.dims[:axis] + x.dims[axis + 1 :], x.dtype) for i, x in enumerate(inputs)]
        new_states, outputs = step(first, slices)
        after = [inner.capture(as_tensor(x)) for x in new_states]
        produced = [inner.capture(as_tensor(x)) for x in outputs]
        if len(after) != len(states):
            raise InvalidArgumentError(
                f"a scan of {len(states)} states got {len(after)} new states from its step function"
            )
        after = [cast_to(x, old.dtype) for x, old in zip(after, states)]
        for i, (old, new) in enumerate(zip(states, after)):
            if old.dims != new.dims:
                raise ShapeError(
                    f"scan: state {i} changes its shape from step to step",
                    where=str(trace.location()),
                    got=f"{new.shape} after a step",
                    needed=f"{old.shape}, as it starts",
                )
    inner.graph.outputs = [x.value for x in (*after, *produced)]
    invariants = [outer for outer, _ in inner.captured]
    for loss, owner in zip(inner.losses, inner.loss_owners):
        raise UnsupportedError(
            f"add_loss inside a loop body ({getattr(owner, 'name', owner)}, {loss})", fix="add it after the loop"
        )
    node = trace.emit_node(
        "scan",
        [*(x.value for x in states), *(x.value for x in inputs), *invariants],
        {"inits": len(states), "sequences": len(inputs), "axis": axis, "length": length, "reverse": bool(reverse)},
        [inner.graph],
    )
    results = [trace.tensor(value) for value in node.results]
    return results[: len(states)], results[len(states) :]


def _function(what: str, f: Any) -> Callable[..., Any]:
    """`f`, when it can be called.

    Raises:
        CallError: it cannot.
    """
    if not callable(f):
        raise CallError(f"{what} needs a function", got=repr(f), needed="a callable, e.g. a lambda")
    call: Callable[..., Any] = f
    return call


def _sequences(what: str, xs: Any) -> list[TracedTensor]:
    """The leaves of `xs` as tensors with an axis to walk along.

    Raises:
        ShapeError: a leaf is a scalar.
    """
    leaves = [as_tensor(x) for x in tree.flatten(xs)]
    for leaf in leaves:
        if not leaf.dims:
            raise ShapeError(
                f"{what} walks along the first axis, and a scalar has none",
                where=str(active().location()),
                needed="tensors of rank 1 or more",
            )
    return leaves


@operation
def scan(
    f: Callable[..., Any], init: Any, xs: Any = None, length: Any = None, reverse: bool = False, unroll: Any = 1
) -> Any:
    """`f(carry, x) -> (carry, y)` over the leading axis of `xs`: (last carry, stacked ys), as in JAX.

    Raises:
        CallError: `f` is no function, or does not return a pair.
        ShapeError: `xs` has no axis to walk along, or the carry changes its shape.
        InvalidArgumentError: neither `xs` nor `length` says how many steps there are.
    """
    f = _function("scan", f)
    carry_leaves = tree.flatten(init)
    x_leaves = [] if xs is None else _sequences("scan", xs)
    forms: list[Any] = []

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        x = None if xs is None else tree.pack_like(xs, slices)
        result = f(tree.pack_like(init, states), x)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise CallError(
                "scan: the function has to return a pair", got=type(result).__name__, needed="(new carry, output)"
            )
        carry, y = result
        forms.append(y)
        return tree.flatten(carry), [leaf for leaf in tree.flatten(y) if leaf is not None]

    final, ys = scan_region(step, carry_leaves, x_leaves, reverse=reverse, length=length)
    stacked = iter(ys)
    return tree.pack_like(init, final), tree.map_structure(
        lambda leaf: None if leaf is None else next(stacked), forms[0]
    )


@operation
def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of each slice along the leading axis, stacked.

    Raises:
        CallError: `f` is no function.
        ShapeError: `xs` has no axis to walk along.
    """
    f = _function("map", f)
    _sequences("map", xs)
    return scan(lambda carry, x: (carry, f(x)), [], xs)[1]


@operation
def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    """`function` of each element along the leading axis, stacked; of several tensors it gets a list of elements."""
    return map(_function("vectorized_map", function), elements)


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Sequence[Any] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """`pyfunc`, written for one element, as a function of tensors that broadcast against each other.

    Args:
        pyfunc: function of tensors.
        excluded: positions and names of arguments that are passed as they are.
        signature: sizes of an element's axes, e.g. `"(n),(m,n)->(m)"`; scalars by default.

    Raises:
        CallError: `pyfunc` is no function.
        InvalidArgumentError: the signature names another number of arguments than a call has.
    """
    function, fixed = _function("vectorize", pyfunc), set(excluded or ())
    cores: list[int] | None = None
    if signature is not None:
        parts = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
        cores = [len([size for size in part.split(",") if size.strip()]) for part in parts]

    @operation
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        moving = [i for i in range(len(args)) if i not in fixed]
        ranks = [0] * len(moving) if cores is None else cores
        if len(ranks) != len(moving):
            raise InvalidArgumentError(
                f"vectorize: the signature {signature!r} names {len(ranks)} arguments", got=f"{len(moving)} arguments"
            )
        tensors = [as_tensor(args[i]) for i in moving]
        leads = [x.dims[: len(x.dims) - rank] for x, rank in zip(tensors, ranks)]
        lead = broadcast_shapes("vectorize", leads)
        flat = [
            shaping.reshape(
                shaping.broadcast_to(x, (*lead, *x.dims[len(own) :])), (shape_volume(lead), *x.dims[len(own) :])
            )
            for x, own in zip(tensors, leads)
        ]

        def one(elements: list[TracedTensor]) -> Any:
            given = list(args)
            for i, element in zip(moving, elements):
                given[i] = element
            return function(*given, **kwargs)

        results = map(one, flat)
        return tree.map_structure(lambda y: shaping.reshape(y, (*lead, *y.dims[1:])), results)

    return vectorized


@operation
def associative_scan(f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Running combination: element k of the result is f of the elements 0 to k along an axis.

    Args:
        f: associative function `f(a, b)`, of tensors (or structures of them) with several elements along the axis.
        elems: tensor, or a structure of tensors, of one known size along the axis.
        reverse: start at the end.
        axis: which axis.

    Raises:
        CallError: `f` is no function.
        UnsupportedError: the size of the axis is not known.

    Source: W. D. Hillis and G. L. Steele, "Data parallel algorithms", 1986: log2(n) steps of f.
    """
    f = _function("associative_scan", f)
    leaves = _sequences("associative_scan", elems)
    places = [normal_axis(axis, len(x.dims)) for x in leaves]
    sizes = {x.dims[place] for x, place in zip(leaves, places)}
    length = sizes.pop()
    if sizes:
        raise ShapeError("associative_scan needs tensors of one size along the axis", got=f"{length}, {sizes.pop()}")
    if not isinstance(length, int):
        raise UnsupportedError("associative_scan needs a known size of the axis", fix="use ops.scan over axis 0")

    def cut(leaves: list[Any], start: int, stop: int) -> list[Any]:
        keys = [(slice(None),) * place + (slice(start, stop),) for place in places]
        return [taking.get_item(x, key) for x, key in zip(leaves, keys)]

    run = [shaping.flip(x, place) for x, place in zip(leaves, places)] if reverse else leaves
    step = 1
    while step < length:
        early, late = cut(run, 0, length - step), cut(run, step, length)
        both = tree.flatten(f(tree.pack_like(elems, early), tree.pack_like(elems, late)))
        first = cut(run, 0, step)
        run = [shaping.concatenate([a, as_tensor(b)], axis=place) for a, b, place in zip(first, both, places)]
        step *= 2
    run = [shaping.flip(x, place) for x, place in zip(run, places)] if reverse else run
    return tree.pack_like(elems, run)


# -- conditions -----------------------------------------------------------------------------------------------------
def _value(x: Any) -> Any:
    return x.numpy() if isinstance(x, Variable) else np.asarray(x)


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    """Leaf by leaf `a` where the scalar condition holds, else `b`.

    Raises:
        InvalidArgumentError: the two have different structures.
    """
    one, other = tree.flatten(a), tree.flatten(b)
    if len(one) != len(other):
        raise InvalidArgumentError(
            "the branches of a condition return different structures", got=f"{len(one)} and {len(other)} results"
        )
    picked = [None if x is None and y is None else math.where(condition, x, y) for x, y in zip(one, other)]
    return tree.pack_like(a, picked)


def _is_open(x: Any) -> bool:
    """Whether a value is not known while Python runs: a tensor without one, or a Variable inside a trace."""
    return isinstance(x, _NoValue) or (isinstance(x, Variable) and current_trace() is not None)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """One of the results of two functions without arguments, by a scalar condition.

    A condition that is known (a Python or NumPy value) calls one function.  On a tensor of a model or a trace both are
    computed and the result is selected; both return tensors of the same structure and of shapes that broadcast.
    Variables that a function assigns are then assigned whatever the condition says.

    Raises:
        CallError: a branch is no function.
        InvalidArgumentError: the results have different structures.
    """
    true_fn, false_fn = _function("cond", true_fn), _function("cond", false_fn)
    if _is_open(pred):
        return _chosen(pred, true_fn(), false_fn())
    return true_fn() if bool(_value(pred)) else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """The result of one of several functions of the operands, by its number; numbers are kept within the list.

    With an index that has no value yet all branches are computed and one result is selected, as in `cond`.

    Raises:
        CallError: a branch is no function.
        InvalidArgumentError: there is no branch, or the results have different structures.
    """
    functions = [_function("switch", branch) for branch in branches]
    if not functions:
        raise InvalidArgumentError("switch needs at least one branch")
    if not _is_open(index):
        return functions[min(max(int(_value(index)), 0), len(functions) - 1)](*operands)
    result = functions[-1](*operands)
    for place in range(len(functions) - 2, -1, -1):
        result = _chosen(math.less_equal(index, place), functions[place](*operands), result)
    return result


# -- loops ----------------------------------------------------------------------------------------------------------
@operation
def _bounded_loop(cond: Callable[..., Any], body: Callable[..., Any], loop_vars: list[Any], count: int) -> Any:
    """`while_loop` of at most `count` steps: a scan whose states stay as they are once the condition fails."""

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        going, values = states[0], tree.pack_like(loop_vars, states[1:])
        goes = math.logical_and(going, shaping.reshape(cond(*values), ()))
        new = tree.flatten(_as_list(body(*values)))
        kept = [math.where(goes, cast_to(as_tensor(x), old.dtype), old) for x, old in zip(new, states[1:], strict=True)]
        return [goes, *kept], []

    first = [as_tensor(x) for x in tree.flatten(loop_vars)]
    final, _ = scan_region(step, [as_tensor(True), *first], [], length=count)
    return tree.pack_like(loop_vars, final[1:])


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """`loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` holds.

    On arrays this is a loop of Python.  On tensors of a model or a trace `maximum_iterations` steps are computed, and
    those after the condition has failed change nothing; the derivative of `body` has to be finite there too.

    Args:
        cond: function of the loop variables, giving a scalar truth value.
        body: function of the loop variables, giving new ones of the same shapes.
        loop_vars: a tensor, or a list or tuple of them.
        maximum_iterations: a bound on the number of steps; needed inside models.

    Raises:
        CallError: no functions.
        UnsupportedError: inside a model or a trace without `maximum_iterations`.
    """
    cond, body = _function("while_loop", cond), _function("while_loop", body)
    several = isinstance(loop_vars, (tuple, list))
    values = _as_list(loop_vars)
    if current_trace() is not None or has_symbolic(values):
        if maximum_iterations is None:
            raise UnsupportedError(
                "ops.while_loop inside a model needs a bound on the number of its steps",
                fix="give maximum_iterations=..., or use ops.scan or ops.fori_loop",
            )
        values = _as_list(_bounded_loop(cond, body, values, int(maximum_iterations)))
    else:
        done = 0
        while (maximum_iterations is None or done < maximum_iterations) and bool(_value(cond(*values))):
            values = _as_list(body(*values))
            done += 1
    return type(loop_vars)(values) if several else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`body_fun(i, value)` for i in [lower, upper), as a scan.

    Args:
        lower, upper: numbers; from 0 on `upper` may be a size that is not known yet, as of `ops.shape(x)`.
        body_fun: function of the counter and the value.
        init_val: first value, a tensor or a structure of tensors.

    Raises:
        CallError: `body_fun` is no function.
        UnsupportedError: a bound is a tensor.
    """
    body = _function("fori_loop", body_fun)
    if _is_open(lower) or _is_open(upper):
        raise UnsupportedError(
            "ops.fori_loop needs bounds that are known while the model is made",
            fix="use ops.while_loop with maximum_iterations",
        )
    steps = [bound if isinstance(bound, Dim) else int(_value(bound)) for bound in (lower, upper)]
    numbers = [bound for bound in steps if isinstance(bound, int)]
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        return init_val
    return _counted(body, init_val, steps[0], steps[1])


@operation
def _counted(body: Callable[[Any, Any], Any], init: Any, lower: DimLike, upper: DimLike) -> Any:
    return scan(lambda value, i: (body(i, value), None), init, making.arange(lower, upper))[0]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns (value, gradient function), called for its value.

    Works on arrays, where nothing is differentiated.

    Raises:
        CallError: `f` is no function.
        UnsupportedError: the decorated function is called inside a model: derivatives are made of operations.
    """
    function = _function("custom_gradient", f)

    @wraps(function)
    def value(*args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None or has_symbolic(args) or has_symbolic(kwargs):
            raise UnsupportedError(
                "ops.custom_gradient inside a model is not supported: derivatives follow from the operations",
                fix="write the function so that its derivative is the one wanted, e.g. with ops.stop_gradient: "
                "ops.stop_gradient(value - surrogate) + surrogate has the gradient of surrogate",
            )
        return function(*args, **kwargs)[0]

    return value
