# raises: InvalidArgumentError, ValueError
from kgraph.layers import TextVectorization

TextVectorization(name="words")(["some text"])
