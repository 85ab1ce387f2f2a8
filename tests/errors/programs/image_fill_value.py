# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomErasing

RandomErasing(fill_value=(1, 2), name="blank")
