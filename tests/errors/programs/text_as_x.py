# raises: DtypeError, TypeError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,), name="features"), Dense(1)])
model.predict("data.csv", verbose=0)
