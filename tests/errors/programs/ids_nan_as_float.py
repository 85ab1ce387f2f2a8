# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding, Input
from kgraph.models import Model

words = Input((4,), name="words")
model = Model(words, Embedding(10, 2, name="word_vectors")(words))
x = np.zeros((3, 4))
x[2, 1] = np.nan
model.predict(x, verbose=0)
