# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input, Layer


class Forgotten(Layer):
    def call(self, x):
        x * 2


Forgotten(name="twice")(Input((3,)))
