# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomPosterization

RandomPosterization(9, name="poster")
