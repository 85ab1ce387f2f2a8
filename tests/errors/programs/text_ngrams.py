# raises: InvalidArgumentError, ValueError
from kgraph.layers import TextVectorization

TextVectorization(ngrams="two", name="words")
