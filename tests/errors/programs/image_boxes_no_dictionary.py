# raises: MissingKeyError, KeyError
import numpy as np

from kgraph.layers import MaxNumBoundingBoxes

images = np.zeros((2, 4, 4, 3), "float32")
MaxNumBoundingBoxes(3, name="boxes")({"images": images, "bounding_boxes": np.zeros((2, 1, 4), "float32")})
