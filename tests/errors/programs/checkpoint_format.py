# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.callbacks.ModelCheckpoint("best.ckpt", save_weights_only=True)
