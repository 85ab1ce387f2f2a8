"""Sentiment of word sequences with an LSTM (Keras 2)."""

import numpy as np
from keras.layers import LSTM, Dense, Embedding
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 500
maxlen = 20
batch_size = 32

rng = np.random.RandomState(0)
reviews = [rng.randint(1, max_features, size=rng.randint(5, 30)).tolist() for _ in range(160)]
labels = np.array([float(np.mean(review) > max_features / 2) for review in reviews])

x_train = sequence.pad_sequences(reviews, maxlen=maxlen)
print("x_train shape:", x_train.shape)

model = Sequential()
model.add(Embedding(max_features, 16))
model.add(LSTM(16, dropout=0.2, recurrent_dropout=0.2))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train[:128], labels[:128], batch_size=batch_size, epochs=3, validation_data=(x_train[128:], labels[128:]))
score = model.evaluate(x_train[128:], labels[128:], batch_size=batch_size, verbose=0)
print("Test score:", score[0], "accuracy:", score[1])
