# raises: CallError, TypeError
from kgraph import ops

ops.scan(1, 2, 3)
