# raises: InvalidArgumentError, ValueError
import kgraph as keras

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
trainer = model.compile("sgd", "mse")
trainer.report(by="layers")
