"""Functions that mean in a script for Keras 2 what they mean in `kgraph.ops`."""

from __future__ import annotations

from kgraph import ops

__all__ = [
    "abs",
    "all",
    "any",
    "arange",
    "cast",
    "concatenate",
    "cos",
    "cumsum",
    "elu",
    "equal",
    "exp",
    "eye",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "less",
    "less_equal",
    "log",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "not_equal",
    "ones_like",
    "pow",
    "prod",
    "reshape",
    "round",
    "shape",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "square",
    "stack",
    "std",
    "stop_gradient",
    "sum",
    "tanh",
    "tile",
    "var",
    "zeros_like",
]

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
