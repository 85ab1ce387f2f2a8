# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input, Layer


class Twice(Layer):
    def __init__(self):
        self.factor = 2

    def call(self, x):
        return x * self.factor


Twice()(Input((3,)))
