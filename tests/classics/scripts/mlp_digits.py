"""Hand-written digits with a multilayer perceptron (Keras 2)."""

import keras
import numpy as np
from keras.layers import Dense, Dropout
from keras.models import Sequential
from keras.optimizers import RMSprop
from sklearn.datasets import load_digits

batch_size = 64
num_classes = 10
epochs = 2

digits = load_digits()
x = digits.data.astype("float32") / 16.0
x_train, x_test = x[:640], x[1500:]
y_train = keras.utils.to_categorical(digits.target[:640], num_classes)
y_test = keras.utils.to_categorical(digits.target[1500:], num_classes)
print(x_train.shape[0], "train samples")

model = Sequential()
model.add(Dense(64, activation="relu", input_shape=(64,)))
model.add(Dropout(0.2))
model.add(Dense(64, activation="relu"))
model.add(Dropout(0.2))
model.add(Dense(num_classes, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer=RMSprop(), metrics=["accuracy"])

history = model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, verbose=1, validation_data=(x_test, y_test))
score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss:", score[0])
print("Test accuracy:", score[1])
predictions = model.predict(x_test[:50], verbose=0)
classes = np.argmax(predictions, axis=1)
