"""The op set, by family.  Importing this package fills `kgraph.ir.opdef.OPS`."""

from kgraph.ir.ops import contract, control, elementwise, nn, random, reduce, shape

__all__ = ["contract", "control", "elementwise", "nn", "random", "reduce", "shape"]
