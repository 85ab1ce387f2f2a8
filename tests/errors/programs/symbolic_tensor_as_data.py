# raises: SymbolicBoolError, TypeError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.predict(Input((3,), name="x"), verbose=0)
