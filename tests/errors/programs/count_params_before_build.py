# raises: NotBuiltError, ValueError
from kgraph.layers import Dense
from kgraph.models import Sequential

Sequential([Dense(4), Dense(1)], name="mlp").count_params()
