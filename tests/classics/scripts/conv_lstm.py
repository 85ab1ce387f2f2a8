"""The next frame of a film of moving squares, by convolutional LSTMs (Keras 2)."""

import numpy as np
from keras.layers import BatchNormalization, Conv3D, ConvLSTM2D
from keras.models import Sequential

n_samples, n_frames, side = 24, 6, 8
rng = np.random.RandomState(0)
movies = np.zeros((n_samples, n_frames + 1, side, side, 1), "float32")
for i in range(n_samples):
    row, column, down, right = rng.randint(0, side, 2).tolist() + rng.randint(-1, 2, 2).tolist()
    for t in range(n_frames + 1):
        movies[i, t, (row + down * t) % side, (column + right * t) % side] = 1
        movies[i, t, (row + down * t + 1) % side, (column + right * t) % side] = 1

seq = Sequential()
seq.add(
    ConvLSTM2D(filters=4, kernel_size=(3, 3), input_shape=(None, side, side, 1), padding="same", return_sequences=True)
)
seq.add(BatchNormalization())
seq.add(ConvLSTM2D(filters=4, kernel_size=(3, 3), padding="same", return_sequences=True))
seq.add(BatchNormalization())
seq.add(Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same", data_format="channels_last"))
seq.compile(loss="binary_crossentropy", optimizer="adadelta")
seq.fit(movies[:, :-1], movies[:, 1:], batch_size=4, epochs=2)
track = seq.predict(movies[:1, :4])
