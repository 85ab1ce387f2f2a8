# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input, merge

a, b = Input((3,)), Input((3,))
merge([a, b], mode="concatenate")
