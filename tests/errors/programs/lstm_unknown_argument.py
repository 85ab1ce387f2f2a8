# raises: InvalidArgumentError, ValueError
from kgraph.layers import LSTM

LSTM(32, return_sequence=True)
