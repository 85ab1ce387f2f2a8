"""A wide linear part and a deep part, joined, as a subclassed model (Keras 3)."""

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_diabetes


class WideAndDeepModel(keras.Model):
    def __init__(self, units=30, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.hidden1 = layers.Dense(units, activation=activation)
        self.hidden2 = layers.Dense(units, activation=activation)
        self.main_output = layers.Dense(1)
        self.aux_output = layers.Dense(1)

    def call(self, inputs):
        input_wide, input_deep = inputs[:, :5], inputs[:, 2:]
        hidden = self.hidden2(self.hidden1(input_deep))
        return self.main_output(layers.concatenate([input_wide, hidden]))


x, y = load_diabetes(return_X_y=True)
x = (x / x.std(axis=0)).astype("float32")
y = ((y - y.mean()) / y.std()).astype("float32")

model = WideAndDeepModel(16, name="wide_and_deep")
model.aux_output = None
model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=1e-2), metrics=["mae", "RootMeanSquaredError"])
history = model.fit(x[:320], y[:320], epochs=2, batch_size=32, validation_data=(x[320:], y[320:]))
mse, mae, rmse = model.evaluate(x[320:], y[320:])
np.testing.assert_allclose(rmse, mse**0.5, rtol=1e-3)
predictions = model.predict(x[:5])
