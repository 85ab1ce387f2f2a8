# raises: ShapeError, ValueError
import numpy as np

from kgraph.preprocessing.image import ImageDataGenerator

ImageDataGenerator().flow(np.zeros((100, 28, 28)), np.zeros(100))
