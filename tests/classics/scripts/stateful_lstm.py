"""A moving sum that only a network which keeps its state between batches can learn (Keras 2)."""

import numpy as np
from keras.layers import LSTM, Dense
from keras.models import Sequential

lahead, batch_size, epochs = 1, 1, 2
rng = np.random.RandomState(1986)
data_input = rng.uniform(-0.1, 0.1, 40).astype("float32")
expected_output = np.convolve(data_input, [0.5, 0.5])[:40].astype("float32")
x_train = data_input.reshape((-1, lahead, 1))
y_train = expected_output.reshape((-1, 1))

model = Sequential()
model.add(LSTM(8, batch_input_shape=(batch_size, lahead, 1), stateful=True))
model.add(Dense(1))
model.compile(loss="mse", optimizer="adam")
for i in range(epochs):
    print("Epoch", i + 1, "/", epochs)
    model.fit(x_train, y_train, batch_size=batch_size, epochs=1, verbose=1, shuffle=False)
    model.layers[0].reset_states()
predictions = model.predict(x_train, batch_size=batch_size)
