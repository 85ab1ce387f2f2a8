# raises: InvalidArgumentError, ValueError
from kgraph.preprocessing.text import Tokenizer

Tokenizer(num_words=10).texts_to_matrix(["the cat"], mode="tf-idf")
