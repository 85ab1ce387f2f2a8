# raises: ShapeError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

inner = Sequential([Input((3,)), Dense(2)], name="inner")
inner(Input((4,), name="x"))
