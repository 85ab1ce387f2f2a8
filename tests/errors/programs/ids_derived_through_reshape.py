# raises: DataError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Embedding, Input, Lambda
from kgraph.models import Model

words = Input((2, 2), name="words")
ids = Lambda(lambda x: ops.cast(ops.reshape(x, (-1, 4)), "int32"))(words)
model = Model(words, Embedding(10, 2, name="word_vectors")(ids))
model.predict(np.full((3, 2, 2), 11.0), verbose=0)
