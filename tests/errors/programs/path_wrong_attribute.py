# raises: MissingNameError, AttributeError
import kgraph as keras

keras.utils.np_utils.to_categorial([0, 1])
