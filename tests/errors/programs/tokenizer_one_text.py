# raises: DataError, ValueError
from kgraph.preprocessing.text import Tokenizer

Tokenizer().fit_on_texts("the cat sat on the mat")
