# raises: DataError, ValueError
import numpy as np

from kgraph.preprocessing.image import ImageDataGenerator

labels = np.repeat([0, 1], 10)
ImageDataGenerator(validation_split=0.2).flow(np.zeros((20, 4, 4, 1)), labels, subset="training")
