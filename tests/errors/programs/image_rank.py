# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import RandomGrayscale

RandomGrayscale(name="grey")(np.zeros((8, 8), "float32"))
