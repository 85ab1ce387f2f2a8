# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", metrics="accuracy")
