# raises: InvalidArgumentError, ValueError
from kgraph.layers import ContrastLimitedAdaptiveHistogramEqualization

ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(8, 0), name="clahe")
