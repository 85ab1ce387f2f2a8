# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomPerspective

RandomPerspective(interpolation="bicubic", name="view")
