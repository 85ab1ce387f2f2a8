# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

Sequential([Input((3,)), Dense(2)]).save("model.safetensors")
