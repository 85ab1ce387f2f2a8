# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.utils import bounding_boxes

bounding_boxes.convert_format(np.zeros((3, 4)), "xyxy", "rel_xyxy")
