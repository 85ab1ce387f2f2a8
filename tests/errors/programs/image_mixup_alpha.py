# raises: InvalidArgumentError, ValueError
from kgraph.layers import MixUp

MixUp(alpha=0, name="mix")
