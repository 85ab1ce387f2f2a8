# raises: ShapeError, ValueError
import os
import tempfile

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

path = os.path.join(tempfile.gettempdir(), "small.weights.h5")
Sequential([Input((3,)), Dense(2)]).save_weights(path)
model = Sequential([Input((4,)), Dense(2, name="head")], name="mlp")
model.load_weights(path)
