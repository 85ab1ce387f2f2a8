# raises: FileMissingError, FileNotFoundError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(2)], name="mlp")
model.load_weights("nowhere.weights.h5")
