# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Embedding, Flatten, Input
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
model = Model(words, Dense(1)(Flatten()(Embedding(10, 2, name="word_vectors")(words))))
model.compile("sgd", "mse")
batches = iter([(np.full((2, 4), 9), np.ones((2, 1))), (np.full((2, 4), 10), np.ones((2, 1)))])
model.fit(batches, steps_per_epoch=2, verbose=0)
