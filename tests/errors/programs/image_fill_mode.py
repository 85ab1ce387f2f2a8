# raises: InvalidArgumentError, ValueError
from kgraph.preprocessing.image import ImageDataGenerator

ImageDataGenerator(rotation_range=20, fill_mode="mirror")
