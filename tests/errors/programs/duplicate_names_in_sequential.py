# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense
from kgraph.models import Sequential

model = Sequential(name="mlp")
model.add(Dense(2, name="fc", input_shape=(3,)))
model.add(Dense(2, name="fc"))
# then:
model.add(Dense(1, name="head"))
assert len(model.layers) == 2
