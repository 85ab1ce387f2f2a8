"""Topics of newswires from bags of words (Keras 2)."""

import keras
import numpy as np
from keras.layers import Activation, Dense, Dropout
from keras.models import Sequential

max_words, batch_size, num_classes = 200, 32, 6
rng = np.random.RandomState(0)
y_train = rng.randint(0, num_classes, 256)
x_train = (rng.rand(256, max_words) < 0.05 + 0.1 * (np.arange(max_words) % num_classes == y_train[:, None])).astype(
    "float32"
)
y_train = keras.utils.to_categorical(y_train, num_classes)

model = Sequential()
model.add(Dense(64, input_shape=(max_words,)))
model.add(Activation("relu"))
model.add(Dropout(0.5))
model.add(Dense(num_classes))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=batch_size, epochs=3, verbose=1, validation_split=0.1)
score = model.evaluate(x_train, y_train, batch_size=batch_size, verbose=1)
print("Test accuracy:", score[1])
