# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input, Layer


class Leaky(Layer):
    kept = None

    def call(self, x):
        if self.kept is None:
            self.kept = x * 2
        return x + self.kept


layer = Leaky(name="leaky")
layer(Input((3,)))
layer(Input((3,)))
