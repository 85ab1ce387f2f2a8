# raises: ShapeError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,), name="features"), Dense(1)])
model.predict(3.0, verbose=0)
