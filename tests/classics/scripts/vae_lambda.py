"""A variational autoencoder with a Lambda that draws, as Keras 2 users wrote it."""

import keras
from keras import backend as K
from keras.layers import Dense, Input, Lambda
from keras.models import Model
from sklearn.datasets import load_digits

original_dim, intermediate_dim, latent_dim = 64, 32, 2
x_train = load_digits().data[:512].astype("float32") / 16


def sampling(args):
    z_mean, z_log_var = args
    epsilon = keras.random.normal((K.shape(z_mean)[0], latent_dim), seed=seed)
    return z_mean + K.exp(0.5 * z_log_var) * epsilon


seed = keras.random.SeedGenerator(3)
inputs = Input(shape=(original_dim,), name="encoder_input")
h = Dense(intermediate_dim, activation="relu")(inputs)
z_mean = Dense(latent_dim, name="z_mean")(h)
z_log_var = Dense(latent_dim, name="z_log_var")(h)
z = Lambda(sampling, output_shape=(latent_dim,), name="z")([z_mean, z_log_var])
encoder = Model(inputs, [z_mean, z_log_var, z], name="encoder")

latent_inputs = Input(shape=(latent_dim,), name="z_sampling")
d = Dense(intermediate_dim, activation="relu")(latent_inputs)
decoder = Model(latent_inputs, Dense(original_dim, activation="sigmoid")(d), name="decoder")
vae = Model(inputs, decoder(encoder(inputs)[2]), name="vae_mlp")
vae.compile(optimizer="adam", loss="mse")
vae.fit(x_train, x_train, epochs=6, batch_size=32)
predictions = decoder.predict([[0.0, 1.0]] if not hasattr(K, "convert_to_numpy") else K.convert_to_numpy([[0.0, 1.0]]))
