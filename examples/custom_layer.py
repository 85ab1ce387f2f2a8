"""What does not come along: a layer, a function as a layer, and a loss, each written in `ops`.

They are traced like those that do come along: gradients, fusion and native code follow from `call`.
"""

import numpy as np

import kgraph as keras
from kgraph import layers, ops


class RadialBasis(keras.layers.Layer):
    """exp(-width_j |x - centre_j|^2) for `units` centres.  x: f32[B, N] -> f32[B, units]."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.centres = self.add_weight(
            shape=(self.units, input_shape[-1]), initializer="random_normal", name="centres", trainable=True
        )
        self.widths = self.add_weight(shape=(self.units,), initializer="ones", name="widths", trainable=True)

    def call(self, inputs):
        difference = ops.expand_dims(inputs, 1) - self.centres
        return ops.exp(-self.widths * ops.sum(ops.square(difference), axis=-1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def log_cosh_with_margin(y_true, y_pred):
    """Like half the squared error near 0 and like the error far off; errors below 0.05 are free."""
    error = ops.maximum(ops.abs(y_pred - y_true) - 0.05, 0.0)
    return ops.mean(error + ops.softplus(-2.0 * error) - ops.log(2.0), axis=-1)


def data(samples=1000, seed=0):
    """Points f32[N, 2] and the height of two hills there f32[N, 1]."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (samples, 2)).astype("float32")
    y = np.exp(-((x - 1) ** 2).sum(axis=1)) - 0.5 * np.exp(-2 * ((x + 1) ** 2).sum(axis=1))
    return x, y.astype("float32").reshape(samples, 1)


def build():
    inputs = keras.Input((2,))
    scaled = layers.Lambda(lambda x: x * 0.8, output_shape=(2,), name="scale")(inputs)
    hills = RadialBasis(16, name="hills")(scaled)
    return keras.Model(inputs, layers.Dense(1, name="height")(hills))


def compile_model(model, **options):
    return model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.02), loss=log_cosh_with_margin, metrics=["mae"], **options
    )


def main(epochs=20, samples=1000):
    """Returns the mean absolute error on the training points."""
    x, y = data(samples)
    model = build()
    compile_model(model)
    return model.fit(x, y, epochs=epochs, batch_size=32).history["mae"][-1]


if __name__ == "__main__":
    main()
