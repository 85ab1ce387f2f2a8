# raises: NotBuiltError, ValueError
from kgraph.layers import Dense
from kgraph.models import Sequential

model = Sequential([Dense(4), Dense(1)])
model.get_weights()
# then:
model.build((None, 3))
assert len(model.get_weights()) == 4
