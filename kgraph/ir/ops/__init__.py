"""The op set, by family.  Importing this package fills `kgraph.ir.opdef.OPS`."""

from kgraph.ir.ops import attention, bits, contract, control, derivative, elementwise, nn, random, reduce, shape, sort

__all__ = [
    "attention",
    "bits",
    "contract",
    "control",
    "derivative",
    "elementwise",
    "nn",
    "random",
    "reduce",
    "shape",
    "sort",
]
