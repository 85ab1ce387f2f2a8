# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Model

x = Input((3,))
model = Model(x, [Dense(1, name="price")(x), Dense(2, name="kind")(x)])
model.compile("sgd", ["mse", "mse", "mae"])
