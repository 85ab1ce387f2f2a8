# raises: ShapeError, ValueError
from kgraph.layers import TextVectorization

TextVectorization(vocabulary=["red"], name="words")([["red", "green"]])
