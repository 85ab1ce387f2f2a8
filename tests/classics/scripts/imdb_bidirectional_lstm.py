"""Sentiment with two bidirectional LSTMs, one on the other (Keras 3)."""

import keras
import numpy as np
from keras import layers

max_features = 400
maxlen = 16

rng = np.random.default_rng(1)
x_train = rng.integers(1, max_features, (128, maxlen)).astype("int32")
y_train = (x_train[:, :8].mean(axis=1) > x_train[:, 8:].mean(axis=1)).astype("int32")

inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(max_features, 16)(inputs)
x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
x = layers.Bidirectional(layers.LSTM(8))(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.summary()

model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=32, epochs=3)
predictions = model.predict(x_train[:20])
