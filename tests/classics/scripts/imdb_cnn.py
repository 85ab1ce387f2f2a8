"""Sentiment with a one-dimensional convolution over words (Keras 2)."""

import numpy as np
from keras.layers import Activation, Conv1D, Dense, Dropout, Embedding, GlobalMaxPooling1D
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 300
maxlen = 24
rng = np.random.RandomState(2)
words = [list(rng.randint(1, max_features, rng.randint(8, 40))) for _ in range(192)]
x_train = sequence.pad_sequences(words, maxlen=maxlen, padding="post", truncating="post")
y_train = (x_train[:, 0] > 150).astype("float32")

model = Sequential()
model.add(Embedding(max_features, 20, input_length=maxlen))
model.add(Dropout(0.2))
model.add(Conv1D(24, 3, padding="valid", activation="relu", strides=1))
model.add(GlobalMaxPooling1D())
model.add(Dense(24))
model.add(Dropout(0.2))
model.add(Activation("relu"))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=32, epochs=2, validation_split=1 / 6)
val_loss = history.history["val_loss"]
