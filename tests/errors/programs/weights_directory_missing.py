# raises: FileMissingError, FileNotFoundError
import tempfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(2)], name="mlp")
model.save_weights(Path(tempfile.gettempdir()) / "nowhere" / "a.weights.h5")
