# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Embedding, Input, Lambda
from kgraph.models import Model

words = Input((4,), dtype="int32", name="words")
doubled = Lambda(lambda x: x * 2, name="twice")(words)
model = Model(words, Embedding(10, 2, name="word_vectors")(doubled))
model.predict(np.full((3, 4), 4), verbose=0)
model.predict(np.full((3, 4), 7), verbose=0)
# then:
assert model.predict(np.full((3, 4), 4), verbose=0).shape == (3, 4, 2)
