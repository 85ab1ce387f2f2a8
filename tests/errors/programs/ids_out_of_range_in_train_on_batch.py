# raises: DataError, ValueError
import numpy as np

from kgraph.layers import LSTM, Dense, Embedding
from kgraph.models import Sequential

model = Sequential([Embedding(10, 2, input_length=4, name="word_vectors"), LSTM(3), Dense(1)])
model.compile("sgd", "mse")
model.train_on_batch(np.full((2, 4), 2**31 - 1), np.ones((2, 1)))
