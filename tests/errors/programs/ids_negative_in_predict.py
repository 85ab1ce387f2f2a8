# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Embedding, Flatten, Input
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
model = Model(words, Dense(1)(Flatten()(Embedding(10, 2, name="word_vectors")(words))))
x = np.zeros((8, 4), "int32")
model.predict(x, verbose=0)
x[0, 3] = -1
model.predict(x, verbose=0)
