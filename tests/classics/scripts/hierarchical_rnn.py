"""A hierarchical recurrent network: one LSTM over each row of pixels, another over the rows (Keras 2)."""

import keras
from keras.layers import LSTM, Dense, Input, TimeDistributed
from keras.models import Model
from sklearn.datasets import load_digits

row_hidden = 12
col_hidden = 12

x, y = load_digits(return_X_y=True)
x_train = x[:160].reshape(-1, 8, 8, 1).astype("float32") / 16
y_train = keras.utils.to_categorical(y[:160], 10)
row, col, pixel = x_train.shape[1:]

inputs = Input(shape=(row, col, pixel))
encoded_rows = TimeDistributed(LSTM(row_hidden))(inputs)
encoded_columns = LSTM(col_hidden)(encoded_rows)
prediction = Dense(10, activation="softmax")(encoded_columns)
model = Model(inputs, prediction)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=16, epochs=1, verbose=1)
scores = model.evaluate(x_train, y_train, verbose=0)
