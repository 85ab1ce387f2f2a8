# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.optimizers.Adam(learning_rate=-0.1)
