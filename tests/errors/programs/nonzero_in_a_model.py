# raises: UnsupportedError, NotImplementedError
from kgraph import Input, ops

ops.nonzero(Input((3,)))
