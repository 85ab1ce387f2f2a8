# raises: ShapeError, ValueError
from kgraph.layers import Input, Multiply

Multiply(name="gate")([Input((4, 8)), Input((3, 8))])
