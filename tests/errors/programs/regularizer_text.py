# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.regularizers.L2("strong")
