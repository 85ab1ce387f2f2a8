# raises: FileError, OSError
import tempfile

from kgraph.utils import get_file

get_file("weights.h5", "file:///no/such/directory/weights.h5", cache_dir=tempfile.gettempdir())
