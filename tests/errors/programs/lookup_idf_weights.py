# raises: InvalidArgumentError, ValueError
from kgraph.layers import TextVectorization

TextVectorization(vocabulary=["red", "green"], idf_weights=[0.5], output_mode="tf_idf", name="words")
