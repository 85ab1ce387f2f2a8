# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Embedding, Flatten, Input, Lambda
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
hashed = Lambda(lambda x: x % 16, name="hashed")(words)
model = Model(words, Dense(1)(Flatten()(Embedding(10, 2, name="word_vectors")(hashed))))
model.compile("sgd", "mse")
x = np.zeros((16, 4), "int32")
x[5, 1] = 27
model.fit(x, np.ones((16, 1)), verbose=0)
# then:
model.fit(np.arange(64).reshape(16, 4) % 10, np.ones((16, 1)), verbose=0)
