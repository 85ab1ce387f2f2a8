# raises: LayerAttributeError, AttributeError
from kgraph.layers import Conv2D, Input

conv = Conv2D(16, (3, 3), padding="same", name="conv")
conv(Input((32, 32, 3)))
assert conv.input_shape == (None, 32, 32, 3)
conv(Input((64, 64, 3)))
shape = conv.input_shape
# then:
assert conv.get_input_shape_at(1) == (None, 64, 64, 3)
