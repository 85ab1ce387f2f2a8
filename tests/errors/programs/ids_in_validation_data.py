# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Embedding, Flatten, Input
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
model = Model(words, Dense(1)(Flatten()(Embedding(10, 2, name="word_vectors")(words))))
model.compile("sgd", "mse")
x, y = np.zeros((8, 4), "int32"), np.ones((8, 1))
model.fit(x, y, validation_data=(x + 10, y), verbose=0)
