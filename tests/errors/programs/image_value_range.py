# raises: InvalidArgumentError, ValueError
from kgraph.layers import AutoContrast

AutoContrast(value_range=255, name="contrast")
