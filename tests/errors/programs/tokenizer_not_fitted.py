# raises: NotBuiltError, ValueError
from kgraph.preprocessing.text import Tokenizer

Tokenizer().texts_to_matrix(["the cat"])
