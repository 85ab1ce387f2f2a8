# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Embedding, Flatten, Input, Lambda
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
shifted = Lambda(lambda x: x - 1, name="shifted")(words)
model = Model(words, Dense(1)(Flatten()(Embedding(10, 2, name="word_vectors")(shifted))))
model.compile("sgd", "mse")
model.train_on_batch(np.zeros((2, 4), "int32"), np.ones((2, 1)))
