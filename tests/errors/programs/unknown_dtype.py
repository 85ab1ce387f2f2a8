# raises: DtypeError, TypeError
from kgraph.layers import Input

Input((3,), dtype="complex64")
