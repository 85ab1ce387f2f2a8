"""A convolutional autoencoder that takes noise away (Keras 3)."""

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

clean = load_digits().images[:128, ..., None].astype("float32") / 16
noise = np.random.default_rng(0).normal(scale=0.3, size=clean.shape)
noisy = np.clip(clean + noise, 0, 1).astype("float32")

inputs = keras.Input(shape=(8, 8, 1))
x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(inputs)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(x)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.UpSampling2D((2, 2))(x)
outputs = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)

autoencoder = keras.Model(inputs, outputs, name="denoiser")
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
autoencoder.fit(x=noisy, y=clean, epochs=3, batch_size=32)
predictions = autoencoder.predict(noisy[:8])
