# raises: FileError, IsADirectoryError
import tempfile
from pathlib import Path

import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

Path(tempfile.gettempdir(), "best.weights.h5").mkdir()
model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", target="reference")
save = keras.callbacks.ModelCheckpoint(Path(tempfile.gettempdir(), "best.weights.h5"), save_weights_only=True)
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0, callbacks=[save])
