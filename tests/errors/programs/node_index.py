# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input

head = Dense(2, name="head")
head(Input((3,)))
head.get_output_at(1)
