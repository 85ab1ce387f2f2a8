# raises: ShapeError, ValueError
from kgraph.layers import Input, Layer


class Scale(Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(None,), name="factor")

    def call(self, x):
        return x * self.factor


Scale(name="scale")(Input((3,)))
