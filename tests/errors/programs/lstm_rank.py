# raises: ShapeError, ValueError
from kgraph.layers import Input, LSTM

LSTM(4, name="memory")(Input((8,)))
