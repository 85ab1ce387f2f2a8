# raises: DtypeError, TypeError
from kgraph import Input, ops

ops.bitwise_and(Input((3,)), 1)
