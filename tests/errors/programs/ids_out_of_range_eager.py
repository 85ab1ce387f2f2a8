# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding

Embedding(10, 2, name="word_vectors")(np.array([[1, 12]]))
