# raises: InvalidArgumentError, ValueError
from kgraph.layers import LSTM, Input

x, state = Input((5, 8)), Input((4,))
LSTM(4, name="memory")(x, initial_state=[state])
