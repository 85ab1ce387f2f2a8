# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding, Input
from kgraph.models import Model

words = Input((4,), name="words")
model = Model(words, Embedding(10, 2, name="word_vectors")(words))
model.predict(np.full((2, 4), np.inf), verbose=0)
