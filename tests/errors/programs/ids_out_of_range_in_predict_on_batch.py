# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding, Input
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
model = Model(words, Embedding(10, 2, name="word_vectors")(words))
model.predict_on_batch(np.zeros((8, 4), "int32"))
model.predict_on_batch(np.full((8, 4), 99, "int32"))
