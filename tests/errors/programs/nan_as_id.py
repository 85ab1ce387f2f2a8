# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding, Input
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
model = Model(words, Embedding(10, 2)(words))
model.predict(np.full((2, 4), np.nan), verbose=0)
