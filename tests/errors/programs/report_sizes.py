# raises: InvalidArgumentError, ValueError
import kgraph as keras

x = keras.Input((None, 2))
trainer = keras.Model(x, keras.layers.Dense(1)(x), name="sequences").compile("sgd", "mse")
trainer.report("predict")
