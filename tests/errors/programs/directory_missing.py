# raises: FileMissingError, FileNotFoundError
from kgraph.utils import image_dataset_from_directory

image_dataset_from_directory("no_such_directory")
