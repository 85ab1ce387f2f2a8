"""A layer of one's own that keeps both signs of its input (Keras 3)."""

import keras
from keras import layers, ops
from sklearn.datasets import load_digits


class Antirectifier(layers.Layer):
    def __init__(self, initializer="he_normal", **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        output_dim = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(output_dim * 2, output_dim), initializer=self.initializer, name="kernel", trainable=True
        )

    def call(self, inputs):
        inputs -= ops.mean(inputs, axis=-1, keepdims=True)
        pos = ops.relu(inputs)
        neg = ops.relu(-inputs)
        concatenated = ops.concatenate([pos, neg], axis=-1)
        return ops.matmul(concatenated, self.kernel)

    def get_config(self):
        base_config = super().get_config()
        return {**base_config, "initializer": keras.initializers.serialize(self.initializer)}


x, y = load_digits(return_X_y=True)
x, y = x[:512].astype("float32") / 16, y[:512]

model = keras.Sequential(
    [
        keras.Input(shape=(64,)),
        layers.Dense(48),
        Antirectifier(),
        layers.Dense(48),
        Antirectifier(),
        layers.Dropout(0.5),
        layers.Dense(10),
    ]
)
model.compile(
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    optimizer=keras.optimizers.RMSprop(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
model.fit(x, y, batch_size=64, epochs=2, validation_split=0.125)
score = model.evaluate(x[:64], y[:64])
