# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.layers import RandomFlip

boxes = {"boxes": np.zeros((2, 1, 4), "float32"), "labels": np.zeros((2, 1), "int32")}
RandomFlip(name="flip")({"images": np.zeros((2, 4, 4, 3), "float32"), "bounding_boxes": boxes})
