# raises: ShapeError, ValueError
from kgraph.layers import Dense, Flatten, Input

images = Input((28, 28, 1), name="images")
hidden = Dense(64, name="hidden")(Flatten()(images))
head = Dense(10, name="head")
logits = head(Dense(128)(Flatten()(images)))
again = head(hidden)
# then:
assert head.input_shape == (None, 128)
