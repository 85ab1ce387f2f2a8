# raises: DataError, ValueError
import kgraph as keras

keras.utils.to_categorical([0, 1, 5], num_classes=3)
