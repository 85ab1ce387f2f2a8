# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

Sequential([Input((4,)), Dense(2**62, name="wide")])
