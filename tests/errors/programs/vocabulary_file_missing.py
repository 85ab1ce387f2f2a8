# raises: FileMissingError, FileNotFoundError
from kgraph.layers import StringLookup

StringLookup(vocabulary="no_such_words.txt", name="colour")
