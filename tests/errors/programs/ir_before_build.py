# raises: NotBuiltError, ValueError
from kgraph.layers import Dense
from kgraph.models import Sequential

model = Sequential([Dense(4), Dense(1)], name="mlp")
trainer = model.compile("sgd", "mse")
trainer.ir("graph")
