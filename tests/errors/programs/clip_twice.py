# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.optimizers.SGD(0.1, clipnorm=1.0, clipvalue=0.5)
