# raises: InvalidArgumentError, ValueError
from kgraph.layers import TimeDistributed

TimeDistributed("dense")
