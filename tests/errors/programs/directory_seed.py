# raises: InvalidArgumentError, ValueError
import tempfile

from kgraph.utils import text_dataset_from_directory

text_dataset_from_directory(tempfile.gettempdir(), validation_split=0.2, subset="training")
