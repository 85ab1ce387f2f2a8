"""`from kgraph import backend as K`: the functions that scripts for Keras 2 use, in terms of `kgraph.ops`.

They work on arrays, Variables, symbolic and traced tensors alike.  `K.eval` and `K.get_value` give NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph import ops, random
from kgraph.core import tree
from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype, is_int_dtype, promote_dtypes, standardize_dtype
from kgraph.core.session import (
    clear_session,
    epsilon,
    floatx,
    get_uid,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from kgraph.core.tensors import SymbolicTensor, is_symbolic
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = [
    "abs", "all", "any", "arange", "argmax", "argmin", "backend", "batch_dot", "batch_flatten", "batch_get_value",
    "batch_set_value", "bias_add", "binary_crossentropy", "cast", "cast_to_floatx", "categorical_crossentropy",
    "clear_session", "clip", "concatenate", "constant", "conv1d", "conv2d", "cos", "count_params", "cumsum", "dot",
    "dropout", "dtype", "elu", "epsilon", "equal", "eval", "exp", "expand_dims", "eye", "flatten", "floatx", "function",
    "gather", "get_uid", "get_value", "gradients", "greater", "greater_equal", "hard_sigmoid", "image_data_format",
    "in_test_phase", "in_train_phase", "int_shape", "is_float_dtype", "is_int_dtype", "is_keras_tensor", "is_sparse",
    "l2_normalize", "learning_phase", "less", "less_equal", "log", "logsumexp", "max", "maximum", "mean", "min",
    "minimum", "moving_average_update", "ndim", "not_equal", "one_hot", "ones", "ones_like", "permute_dimensions",
    "placeholder", "pool2d", "pow", "prod", "random_normal", "random_uniform", "relu", "repeat", "repeat_elements",
    "reshape", "result_type", "reverse", "round", "set_epsilon", "set_floatx", "set_image_data_format",
    "set_learning_phase", "set_value", "shape", "sigmoid", "sign", "sin", "softmax", "softplus", "softsign",
    "sparse_categorical_crossentropy", "spatial_2d_padding", "sqrt", "square", "squeeze", "stack", "standardize_dtype",
    "std", "stop_gradient", "sum", "switch", "tanh", "temporal_padding", "tile", "transpose", "truncated_normal",
    "update",
    "update_add", "update_sub", "var", "variable", "zeros", "zeros_like",
]  # fmt: skip

_PHASE: dict[str, int | None] = {"phase": None}

# Same name, same meaning as in kgraph.ops.
abs = ops.abs
arange = ops.arange
cast = ops.cast
concatenate = ops.concatenate
cos = ops.cos
cumsum = ops.cumsum
elu = ops.elu
equal = ops.equal
exp = ops.exp
eye = ops.eye
greater = ops.greater
greater_equal = ops.greater_equal
hard_sigmoid = ops.hard_sigmoid
less = ops.less
less_equal = ops.less_equal
log = ops.log
logsumexp = ops.logsumexp
maximum = ops.maximum
minimum = ops.minimum
not_equal = ops.not_equal
ones_like = ops.ones_like
pow = ops.power
reshape = ops.reshape
round = ops.round
shape = ops.shape
sigmoid = ops.sigmoid
sign = ops.sign
sin = ops.sin
softmax = ops.softmax
softplus = ops.softplus
softsign = ops.softsign
square = ops.square
stack = ops.stack
stop_gradient = ops.stop_gradient
tanh = ops.tanh
tile = ops.tile
zeros_like = ops.zeros_like
all = ops.all
any = ops.any
max = ops.max
mean = ops.mean
min = ops.min
prod = ops.prod
std = ops.std
sum = ops.sum
var = ops.var


def backend() -> str:
    """`"kgraph"`."""
    return "kgraph"


def result_type(*dtypes: Any) -> str:
    """The type in which tensors of these types meet."""
    return promote_dtypes([standardize_dtype(name) for name in dtypes])


# -- making and reading ---------------------------------------------------------------------------------------------
def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """A Variable with this first value."""
    return Variable(value, dtype=dtype or floatx(), name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of fixed values, repeated to `shape` when that is given."""
    tensor = ops.convert_to_tensor(value, dtype)
    return tensor if shape is None else ops.broadcast_to(tensor, shape)


def placeholder(
    shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False, name: str | None = None
) -> Any:
    """An input tensor; `shape` has the batch axis."""
    from kgraph.core import Input

    if shape is None:
        if ndim is None:
            raise InvalidArgumentError("placeholder needs a shape or a number of axes")
        shape = (None,) * ndim
    return Input(batch_shape=shape, dtype=dtype, name=name)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A Variable of zeros."""
    return Variable("zeros", shape=tuple(shape), dtype=dtype, name=name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A Variable of ones."""
    return Variable("ones", shape=tuple(shape), dtype=dtype, name=name)


def eval(x: Any) -> np.ndarray[Any, Any]:
    """The value as a NumPy array."""
    return np.array(x)


def get_value(x: Any) -> np.ndarray[Any, Any]:
    """The value as a NumPy array."""
    return np.array(x)


def set_value(x: Variable, value: Any) -> None:
    """Set a Variable."""
    x.assign(value)


def batch_get_value(tensors: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
    """The values as NumPy arrays."""
    return [get_value(x) for x in tensors]


def batch_set_value(pairs: Sequence[tuple[Variable, Any]]) -> None:
    """Set several Variables."""
    for x, value in pairs:
        set_value(x, value)


def update(x: Variable, new_x: Any) -> Any:
    """Assign."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    """Add to a Variable."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    """Subtract from a Variable."""
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: Any, momentum: float) -> Any:
    """`x` * momentum + value * (1 - momentum), assigned."""
    return x.assign(ops.add(ops.multiply(x, momentum), ops.multiply(value, 1.0 - momentum)))


def cast_to_floatx(x: Any) -> Any:
    """`x` in the default float type."""
    return ops.cast(x, floatx())


def int_shape(x: Any) -> tuple[int | None, ...] | None:
    """Shape as a tuple with None for unknown sizes."""
    found = getattr(x, "shape", None)
    return tuple(np.shape(x)) if found is None else tuple(found)


def ndim(x: Any) -> int:
    """Number of axes."""
    return ops.ndim(x)


def dtype(x: Any) -> str:
    """Element type, e.g. `"float32"`."""
    return ops.dtype(x)


def count_params(x: Any) -> int:
    """Number of elements of a Variable."""
    return int(np.prod([size for size in x.shape if size is not None]))


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a tensor of a functional model.

    Raises:
        InvalidArgumentError: it is no tensor at all.
    """
    if not hasattr(x, "shape"):
        raise InvalidArgumentError(f"unexpectedly found an instance of type {type(x).__name__}; expected a tensor")
    return is_symbolic(x)


def is_sparse(tensor: Any) -> bool:
    """False: all tensors are dense."""
    return False


# -- arithmetic -----------------------------------------------------------------------------------------------------
def argmax(x: Any, axis: int = -1) -> Any:
    """Index of the largest element along an axis."""
    return ops.argmax(x, axis=axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Index of the smallest element along an axis."""
    return ops.argmin(x, axis=axis)


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """`x` kept within bounds."""
    return ops.clip(x, min_value, max_value)


@operation
def sqrt(x: Any) -> Any:
    """Square root; 0 for negative numbers, as Keras 2."""
    return ops.sqrt(ops.maximum(x, 0.0))


@operation
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """max_value from there on, x from threshold on, alpha * (x - threshold) below."""
    if not alpha and not threshold:
        y = ops.relu(x)
    else:
        x = ops.convert_to_tensor(x)
        y = ops.where(ops.greater_equal(x, threshold), x, ops.multiply(ops.subtract(x, threshold), alpha))
    return y if max_value is None else ops.minimum(y, max_value)


@operation
def l2_normalize(x: Any, axis: Any = None) -> Any:
    """`x` divided by its L2 norm over an axis (all by default)."""
    x = ops.convert_to_tensor(x)
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-12)))


def dot(x: Any, y: Any) -> Any:
    """Product of (..., a) and (a, b), or of the last axis of x and the last but one of y."""
    return ops.dot(x, y)


@operation
def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Sum of products over one axis of each, sample by sample; two matrices give (batch, 1).

    Args:
        x, y: tensors whose first axis is the batch.
        axes: one axis for both, or a pair; the last of x and the last but one of y by default.
    """
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    rank_x, rank_y = len(x.dims), len(y.dims)
    if rank_x < 2 or rank_y < 2:
        raise InvalidArgumentError("batch_dot needs tensors of rank 2 or more", got=f"{x.shape}, {y.shape}")
    if axes is None:
        axes = (rank_x - 1, rank_y - 1 if rank_y == 2 else rank_y - 2)
    left, right = (axes, axes) if isinstance(axes, int) else tuple(axes)
    left, right = left % rank_x, right % rank_y
    if not left or not right:
        raise InvalidArgumentError("batch_dot cannot sum over the batch axis", got=str(axes))
    letters_x = "b" + "cdefgh"[: rank_x - 1]
    letters_y = "b" + "ijklmn"[: rank_y - 1]
    letters_y = letters_y[:right] + letters_x[left] + letters_y[right + 1 :]
    out = "b" + letters_x[1:].replace(letters_x[left], "") + letters_y[1:].replace(letters_x[left], "")
    product = ops.einsum(f"{letters_x},{letters_y}->{out}", x, y)
    return ops.expand_dims(product, 1) if len(out) == 1 else product


# -- shapes ---------------------------------------------------------------------------------------------------------
def transpose(x: Any) -> Any:
    """Axes in reverse order."""
    return ops.transpose(x)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """Axes in another order."""
    return ops.transpose(x, pattern)


def flatten(x: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(x, (-1,))


@operation
def batch_flatten(x: Any) -> Any:
    """All but the first axis made one."""
    tensor = ops.convert_to_tensor(x)
    return ops.reshape(tensor, (tensor.dims[0], -1))


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A new axis of size 1."""
    return ops.expand_dims(x, axis)


def squeeze(x: Any, axis: int) -> Any:
    """An axis of size 1 dropped."""
    return ops.squeeze(x, axis)


def one_hot(indices: Any, num_classes: int) -> Any:
    """1 at the place of the index, else 0."""
    return ops.one_hot(indices, num_classes)


def gather(reference: Any, indices: Any) -> Any:
    """Rows at indices."""
    return ops.take(reference, indices, axis=0)


def repeat(x: Any, n: int) -> Any:
    """(batch, size) -> (batch, n, size)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element repeated along an axis."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    """Elements in opposite order along axes."""
    return ops.flip(x, axes)


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Any:
    """Zeros before and after axis 1 of 3."""
    return ops.pad(x, [(0, 0), tuple(padding), (0, 0)])


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around images."""
    rows, columns = (tuple(pair) for pair in padding)
    first = (data_format or image_data_format()) == "channels_first"
    return ops.pad(x, [(0, 0), (0, 0), rows, columns] if first else [(0, 0), rows, columns, (0, 0)])


# -- layers as functions --------------------------------------------------------------------------------------------
def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """`x` + bias over the channel axis."""
    return ops.bias_add(x, bias, data_format)


def conv1d(
    x: Any, kernel: Any, strides: int = 1, padding: str = "valid", data_format: Any = None, dilation_rate: int = 1
) -> Any:
    """Convolution over one axis."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """Convolution over two axes."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    pool_mode: str = "max",
) -> Any:
    """Pooling over two axes.

    Raises:
        InvalidArgumentError: `pool_mode` is neither `max` nor `avg`.
    """
    if pool_mode not in ("max", "avg"):
        raise InvalidArgumentError(f"unknown pool_mode {pool_mode!r}", needed="'max' or 'avg'")
    pool = ops.max_pool if pool_mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-t log p - (1 - t) log(1 - p), element by element."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, output.dtype)
    if from_logits:
        return ops.subtract(ops.softplus(output), ops.multiply(target, output))
    p = ops.clip(output, epsilon(), 1.0 - epsilon())
    return ops.negative(
        ops.add(
            ops.multiply(target, ops.log(p)), ops.multiply(ops.subtract(1.0, target), ops.log(ops.subtract(1.0, p)))
        )
    )


@operation
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(t log p) along an axis; p is divided by its sum and kept away from 0 and 1."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, output.dtype)
    if from_logits:
        logs = ops.log_softmax(output, axis)
    else:
        p = ops.divide(output, ops.sum(output, axis=axis, keepdims=True))
        logs = ops.log(ops.clip(p, epsilon(), 1.0 - epsilon()))
    return ops.negative(ops.sum(ops.multiply(target, logs), axis=axis))


@operation
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """`categorical_crossentropy` with class numbers as target."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, "int32")
    if len(target.dims) == len(output.dims) and target.dims[-1] == 1:
        target = ops.squeeze(target, -1)
    hot = ops.one_hot(target, output.dims[axis], axis=axis)
    return categorical_crossentropy(hot, output, from_logits, axis)


# -- random ---------------------------------------------------------------------------------------------------------
def random_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normally distributed numbers."""
    return random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform numbers."""
    return random.uniform(shape, minval, maxval, dtype, seed)


def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normally distributed numbers within two standard deviations."""
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """`x` with elements dropped and the rest scaled up."""
    return random.dropout(x, level, noise_shape, seed)


# -- phases and functions -------------------------------------------------------------------------------------------
def learning_phase() -> Any:
    """1 in training, 0 in inference: that of the trace around, else what `set_learning_phase` said."""
    from kgraph.core.scope import call_training
    from kgraph.core.trace import current_trace

    if _PHASE["phase"] is not None:
        return _PHASE["phase"]
    trace = current_trace()
    training = call_training()
    if training is None and trace is not None:
        training = trace.training
    return int(bool(training))


def set_learning_phase(value: Any) -> None:
    """Fix the learning phase: 0, 1, or None to follow the call.

    Raises:
        InvalidArgumentError: another value.
    """
    if value not in (0, 1, None):
        raise InvalidArgumentError("the learning phase is 0 or 1", got=repr(value))
    _PHASE["phase"] = None if value is None else int(value)


def _result(x: Any) -> Any:
    return x() if callable(x) else x


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else alt (tensors, or functions without arguments)."""
    phase = learning_phase() if training is None else training
    return _result(x) if phase else _result(alt)


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in inference, else alt."""
    return in_train_phase(alt, x, training)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Element by element one of two tensors; a condition of lower rank is taken along the first axes."""
    chosen, other = _result(then_expression), _result(else_expression)
    missing = ops.ndim(chosen) - ops.ndim(condition)
    if missing > 0 and ops.ndim(condition):
        condition = ops.expand_dims(condition, list(range(ops.ndim(condition), ops.ndim(chosen))))
    return ops.where(condition, chosen, other)


def function(
    inputs: Any, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any
) -> Callable[[Any], Any]:
    """A function from arrays to arrays, made of a functional graph: `f([x]) -> [y]`.

    Args:
        inputs: symbolic tensors; entries that are no tensors (`K.learning_phase()`) take 0 or 1 for `training`.
        outputs: one or a list.
    """
    from kgraph.models import Model

    if updates:
        raise UnsupportedError("K.function with updates is not supported", fix="use a custom layer, or trainer.step")
    entries = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    tensors = [x for x in entries if isinstance(x, SymbolicTensor)]
    model = Model(tensors, outputs)

    def run(values: Any) -> Any:
        given = list(values) if isinstance(values, (list, tuple)) else [values]
        arrays = [np.asarray(v) for v, x in zip(given, entries) if isinstance(x, SymbolicTensor)]
        phase = [bool(v) for v, x in zip(given[: len(entries)], entries) if not isinstance(x, SymbolicTensor)]
        results = model(arrays, training=bool(phase and phase[0]))
        return tree.map_structure(np.asarray, results)

    return run


def gradients(loss: Any, variables: Any) -> Any:
    """Not there yet.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "K.gradients is not supported yet", fix="use trainer.ir('grad') to see gradients, trainer.step to train"
    )
