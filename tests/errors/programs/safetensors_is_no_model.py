# raises: FileError, OSError
import tempfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential, load_model

path = Path(tempfile.gettempdir(), "w.safetensors")
Sequential([Input((3,)), Dense(2)]).save_weights(path)
load_model(path)
