"""Steps that a subclass of `Model` writes itself: `train_step` and its kin, traced once and compiled like any other.

What the method is given has the form of what the user passed; it is fed leaf by leaf, and put together again in the
trace.  What it returns are the outputs of the program: logs for training and evaluation, predictions otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph import ops
from kgraph.core import Trace, TracedTensor
from kgraph.core.session import floatx
from kgraph.core.tree import flatten, map_structure, pack_like
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.ir.dims import Dim, Shape
from kgraph.trainer.data import as_array, cast_array, check_no_nan, rows_of, weight_arrays
from kgraph.trainer.feed import Feed
from kgraph.trainer.signature import DataForm, Signature
from kgraph.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = [
    "Returned",
    "check_own_methods",
    "has_own_step",
    "optimizers_of",
    "own_feed",
    "own_methods",
    "parts",
    "trace_step",
]

Array = np.ndarray[Any, np.dtype[Any]]

STEPS = {"train": "train_step", "eval": "test_step", "predict": "predict_step"}
_METHODS = (*STEPS.values(), "compute_loss", "compute_metrics")
_LOOPS = ("make_train_function", "make_test_function", "make_predict_function")


@dataclass(frozen=True)
class Returned:
    """What a step returned.

    Attributes:
        keys: of its logs, in the order of the program's outputs; empty for predictions.
        structure: of the predictions.
    """

    keys: tuple[str, ...] = ()
    structure: Any = None


# -- which methods there are ------------------------------------------------------------------------------------------
def own_methods(model: Any) -> frozenset[str]:
    """The methods of a step that the model's class defines itself."""
    return frozenset(name for name in _METHODS if _owner(model, name) is not None)


def has_own_step(model: Any, mode: str) -> bool:
    """Whether the step of a mode comes from a method of the user's."""
    own = own_methods(model)
    return "predict_step" in own if mode == "predict" else bool(own - {"predict_step"})


def _owner(model: Any, name: str) -> Any:
    owner = next((cls for cls in type(model).__mro__ if name in vars(cls)), None)
    return None if owner is None or owner.__module__.split(".")[0] == "kgraph" else owner


def check_own_methods(model: Any) -> None:
    """Look at the methods that a model's class defines, as `compile` is called.

    Raises:
        UnsupportedError: a loop of its own, or a step in the form of Keras on JAX.
    """
    for name in _LOOPS:
        if _owner(model, name) is not None:
            raise UnsupportedError(
                f"{type(model).__name__}.{name} is not supported: the loop runs in native code",
                fix=f"override {name[5:-9]}_step(self, data) instead",
            )
    for name in STEPS.values():
        if _owner(model, name) is None:
            continue
        needed = [each.name for each in _positional(getattr(model, name)) if each.default is inspect.Parameter.empty]
        if len(needed) > 1:
            raise UnsupportedError(
                f"{type(model).__name__}.{name}(self, {', '.join(needed)}) takes a state: the form of Keras on JAX "
                "is not supported",
                needed=f"{name}(self, data), in which variables are read and assigned",
                fix=_FORM if name == "train_step" else f"write def {name}(self, data): and return what it computes",
            )


_FORM = (
    "write def train_step(self, data): x, y, w = kgraph.utils.unpack_x_y_sample_weight(data); "
    "y_pred = self(x, training=True); loss = self.compute_loss(x, y, y_pred, w); "
    "v = self.trainable_variables; self.optimizer.apply(kgraph.gradients(loss, v), v); "
    "return self.compute_metrics(x, y, y_pred, w)"
)


def _positional(method: Any) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each for each in inspect.signature(method).parameters.values() if each.kind in kinds]


def optimizers_of(model: Any) -> list[Any]:
    """Optimizers among the attributes of a model, and the one that it was compiled with."""
    from kgraph.optimizers import Optimizer

    held = [*vars(model).values(), getattr(model, "optimizer", None)]
    found = [value for value in flatten(held) if isinstance(value, Optimizer)]
    return list({id(each): each for each in found}.values())


# -- data -------------------------------------------------------------------------------------------------------------
def own_feed(trainer: Trainer, x: Any, y: Any, sample_weight: Any, class_weight: Any, mode: str) -> Feed:
    """Arrays as they are given to a step of the user's own: any structure, each leaf with one row for each sample.

    Floats are taken as floatx, whole numbers as int32, booleans as they are.

    Raises:
        DataError, ShapeError, DtypeError: a leaf holds no numbers or NaN, or the numbers of rows differ.
    """
    given = {"x": _arrays(x, "x", mode != "predict"), "y": _arrays(y, "y", True)}
    given["sample_weight"] = _arrays(sample_weight, "sample_weight", True)
    if class_weight is not None:
        weight = given["sample_weight"]
        weights = weight_arrays(["y"], {"y": given["y"]}, None if weight is None else {"y": weight}, class_weight)
        given["sample_weight"] = weights["y"]
    data = pack_x_y_sample_weight(given["x"], given["y"], given["sample_weight"])
    leaves, names = flatten(data), flatten(pack_x_y_sample_weight(*(_named(key, given[key]) for key in given)))
    arrays = dict(zip(names, leaves))
    ports = _ports(trainer, given["x"])
    forms = tuple((name, ports.get(name, tuple(array.shape[1:])), array.dtype.name) for name, array in arrays.items())
    structure = pack_like(data, names)
    return Feed(arrays, rows_of({"array": arrays}), Signature(data=DataForm(forms, structure, repr(structure))))


def parts(feed: Feed) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a feed that `own_feed` made."""
    form = feed.signature.data
    assert form is not None
    return unpack_x_y_sample_weight(map_structure(lambda name: feed.arrays[name], form.structure))


def _arrays(value: Any, name: str, check_nan: bool) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: _arrays(item, f"{name}[{key!r}]", check_nan) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not all(isinstance(leaf, (int, float)) for leaf in flatten(value)):
        return type(value)([_arrays(item, f"{name}[{k}]", check_nan) for k, item in enumerate(value)])
    array = as_array(value, name)
    if array.ndim == 0:
        array = array.reshape(1)
    if check_nan:
        check_no_nan(name, array)
    return cast_array(array, {"f": floatx(), "b": "bool"}.get(array.dtype.kind, "int32"), name)


def _named(key: str, value: Any) -> Any:
    """The names of graph inputs in the form of `value`: `x`, or `x_0`, `x_1`, ... when there are several."""
    if value is None:
        return None
    count = len(flatten(value))
    return pack_like(value, [key] if count == 1 else [f"{key}_{number}" for number in range(count)])


def _ports(trainer: Trainer, x: Any) -> dict[str, Shape]:
    """Sizes for leaves of x that are the model's inputs: symbolic where the model leaves them open."""
    tensors = [tensor for _, tensor in trainer.input_tensors()]
    leaves, names = flatten(x), flatten(_named("x", x))
    if len(leaves) != len(tensors):
        return {}
    found: dict[str, Shape] = {}
    for name, leaf, tensor in zip(names, leaves, tensors):
        dims = tuple(tensor.dims)
        if len(dims) == leaf.ndim and all(isinstance(a, Dim) or a == b for a, b in zip(dims[1:], leaf.shape[1:])):
            found[name] = dims[1:]
    return found


# -- the trace --------------------------------------------------------------------------------------------------------
def trace_step(trainer: Trainer, trace: Trace, mode: str, form: DataForm) -> Returned:
    """Call the model's step on traced tensors; what it returns becomes the outputs of the graph.

    Raises:
        InvalidArgumentError: it returns no dict of numbers, or counts in Python.
    """
    batch: Any = trainer.fixed_batch or Dim.symbol("B")
    tensors = {name: trace.input(name, (batch, *tail), dtype) for name, tail, dtype in form.leaves}
    data = map_structure(lambda name: tensors[name], form.structure)
    trace.cuts_assignments = True
    model, method = trainer.model, STEPS[mode]
    before = _numbers(model)
    result = getattr(model, method)(data)
    _check_numbers(model, method, before)
    if mode == "predict":
        outputs = [_output(trace, leaf) for leaf in flatten(result)]
        trace.graph.outputs = [output.value for output in outputs]
        return Returned((), result if len(outputs) != 1 or isinstance(result, (dict, list, tuple)) else None)
    logs = _logs(model, method, result)
    trace.graph.outputs = [_output(trace, value).value for value in logs.values()]
    return Returned(tuple(logs))


def _output(trace: Trace, leaf: Any) -> TracedTensor:
    """A tensor that may be an output: a result of the program, not one of its inputs or numbers."""
    tensor = ops.convert_to_tensor(leaf)
    return TracedTensor(trace.operand(ops.stop_gradient(tensor)), trace)


def _logs(model: Any, method: str, result: Any) -> dict[str, Any]:
    if not isinstance(result, Mapping):
        raise InvalidArgumentError(
            f"{type(model).__name__}.{method} returned {type(result).__name__}",
            needed="a dict of names and numbers",
            fix="return {m.name: m.result() for m in self.metrics}, or {'loss': loss}",
        )
    flat: dict[str, Any] = {}
    for key, value in result.items():
        flat.update(value if isinstance(value, Mapping) else {str(key): value})
    return dict(sorted(flat.items()))


def _numbers(model: Any) -> dict[str, Any]:
    """Plain numbers among the attributes of a model and its layers."""
    return {
        f"{layer.name}.{key}": value
        for layer in model._flatten_layers()
        for key, value in vars(layer).items()
        if type(value) in (int, float) and not key.startswith("_")
    }


def _check_numbers(model: Any, method: str, before: Mapping[str, Any]) -> None:
    for name, value in _numbers(model).items():
        if name in before and before[name] != value:
            raise InvalidArgumentError(
                f"{type(model).__name__}.{method} changes {name}, a Python number, from {before[name]} to {value}",
                needed="values that change from step to step in variables: Python runs once, when the step is traced",
                fix=f"make it a kgraph.Variable({before[name]}, trainable=False) and call assign_add in the step",
            )
