# raises: ShapeError, ValueError
from kgraph.layers import BatchNormalization, Input

BatchNormalization(axis=5, name="norm")(Input((4,)))
