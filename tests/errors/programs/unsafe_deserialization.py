# raises: UnsupportedError, NotImplementedError
import kgraph as keras

keras.config.enable_unsafe_deserialization()
