# raises: ShapeError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,), name="features"), Dense(1)])
model.predict([[1.0, 2.0, 3.0], [4.0, 5.0]], verbose=0)
