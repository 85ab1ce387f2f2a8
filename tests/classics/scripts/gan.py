"""A small generative adversarial network, trained batch by batch (Keras 2)."""

import numpy as np
from keras.layers import Dense, Input, LeakyReLU
from keras.models import Model, Sequential
from keras.optimizers import Adam

latent_dim, batch_size = 4, 32
rng = np.random.RandomState(0)
angles = rng.uniform(0, 2 * np.pi, 512)
real = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")

generator = Sequential([Dense(16, input_dim=latent_dim), LeakyReLU(), Dense(2)])
discriminator = Sequential([Dense(16, input_dim=2), LeakyReLU(), Dense(1, activation="sigmoid")])
discriminator.compile(loss="binary_crossentropy", optimizer=Adam(lr=0.002, beta_1=0.5), metrics=["accuracy"])

z = Input(shape=(latent_dim,))
discriminator.trainable = False
combined = Model(z, discriminator(generator(z)))
combined.compile(loss="binary_crossentropy", optimizer=Adam(lr=0.002, beta_1=0.5))

valid, fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))
for _ in range(8):
    noise = rng.normal(0, 1, (batch_size, latent_dim))
    gen = generator.predict(noise, verbose=0)
    d_loss_real = discriminator.train_on_batch(real[rng.randint(0, 512, batch_size)], valid)
    d_loss_fake = discriminator.train_on_batch(gen, fake)
    noise = rng.normal(0, 1, (batch_size, latent_dim))
    g_loss = combined.train_on_batch(noise, valid)
predictions = generator.predict(noise[:5], verbose=0)
