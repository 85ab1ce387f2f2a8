# raises: ShapeError, ValueError
from kgraph.layers import GRU, Input

x, state = Input((5, 8)), Input((3,))
GRU(4, name="memory")(x, initial_state=[state])
