# raises: DataError, ValueError
import tempfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

path = Path(tempfile.gettempdir(), "w.safetensors")
Sequential([Input((3,)), Dense(2, name="one")]).save_weights(path)
Sequential([Input((3,)), Dense(4, name="two")]).load_weights(path)
