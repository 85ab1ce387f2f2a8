# raises: FileError, OSError
import tempfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

path = Path(tempfile.gettempdir(), "bad.safetensors")
path.write_bytes((10**12).to_bytes(8, "little") + b"{}")
Sequential([Input((3,)), Dense(2)]).load_weights(path)
