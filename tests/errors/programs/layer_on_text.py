# raises: CallError, TypeError
from kgraph.layers import Dense

Dense(4, name="head")("text")
