"""A dense autoencoder whose encoder and decoder are models of their own (Keras 2)."""

from keras import regularizers
from keras.layers import Dense, Input
from keras.models import Model
from sklearn.datasets import load_digits

x_train = load_digits().data[:512].astype("float32") / 16.0

encoding_dim = 16
input_img = Input(shape=(64,))
encoded = Dense(32, activation="relu")(input_img)
encoded = Dense(encoding_dim, activation="relu", activity_regularizer=regularizers.l1(1e-4))(encoded)
decoded = Dense(64, activation="sigmoid")(encoded)

autoencoder = Model(input_img, decoded)
encoder = Model(input_img, encoded)
encoded_input = Input(shape=(encoding_dim,))
decoder = Model(encoded_input, autoencoder.layers[-1](encoded_input))

autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
autoencoder.fit(x_train, x_train, epochs=2, batch_size=64, shuffle=True, validation_data=(x_train[:64], x_train[:64]))
codes = encoder.predict(x_train[:10])
predictions = decoder.predict(codes)
