# raises: FileError, OSError
import tempfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

path = Path(tempfile.gettempdir()) / "bad.weights.h5"
path.write_bytes(b"no HDF5 at all")
model = Sequential([Input((3,)), Dense(2)], name="mlp")
model.load_weights(path)
