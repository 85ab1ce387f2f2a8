"""A noisy wave forecast by stacked GRUs, with windows made by the script (Keras 2)."""

import numpy as np
from keras.layers import GRU, Dense
from keras.models import Sequential
from keras.optimizers import RMSprop

rng = np.random.RandomState(0)
t = np.arange(400)
series = np.stack([np.sin(t / 9.0), np.cos(t / 5.0)], axis=1) + rng.normal(0, 0.05, (400, 2))
series = (series - series.mean(axis=0)) / series.std(axis=0)
lookback, delay = 12, 3


def generator(data, min_index, max_index, batch_size=32):
    i = min_index + lookback
    while 1:
        if i + batch_size >= max_index:
            i = min_index + lookback
        rows = np.arange(i, min(i + batch_size, max_index))
        i += len(rows)
        samples = np.stack([data[row - lookback : row] for row in rows])
        yield samples, data[rows + delay, 0]


train_gen = generator(series, 0, 300)
val_gen = generator(series, 300, 390)
model = Sequential()
model.add(GRU(12, dropout=0.1, recurrent_dropout=0.5, return_sequences=True, input_shape=(None, series.shape[-1])))
model.add(GRU(12, activation="relu", dropout=0.1, recurrent_dropout=0.5))
model.add(Dense(1))
model.compile(optimizer=RMSprop(), loss="mae")
history = model.fit_generator(train_gen, steps_per_epoch=8, epochs=2, validation_data=val_gen, validation_steps=2)
val_loss = history.history["val_loss"]
