# raises: ShapeError, ValueError
from kgraph.layers import LSTM, Input

LSTM(4, name="memory")(Input((8,)))
