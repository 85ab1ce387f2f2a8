# raises: InvalidArgumentError, ValueError
from kgraph.models import Sequential

Sequential(name="mlp").add("dense")
