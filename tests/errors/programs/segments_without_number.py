# raises: UnsupportedError, NotImplementedError
from kgraph import Input, ops

ops.segment_sum(Input((3,)), Input((), dtype="int32"))
