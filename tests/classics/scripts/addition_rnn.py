"""Addition of two numbers written in characters, by a sequence to sequence network (Keras 2)."""

import numpy as np
from keras import layers
from keras.models import Sequential

chars = "0123456789+ "
DIGITS, MAXLEN, HIDDEN = 2, 5, 24


def encode(text, length):
    x = np.zeros((length, len(chars)), dtype=bool)
    for i, c in enumerate(text.ljust(length)):
        x[i, chars.index(c)] = 1
    return x


rng = np.random.RandomState(0)
questions, answers = [], []
for a, b in rng.randint(0, 100, (192, 2)):
    questions.append(encode(f"{a}+{b}"[::-1], MAXLEN))
    answers.append(encode(str(a + b), DIGITS + 1))
x, y = np.array(questions), np.array(answers)

model = Sequential()
model.add(layers.LSTM(HIDDEN, input_shape=(MAXLEN, len(chars))))
model.add(layers.RepeatVector(DIGITS + 1))
for _ in range(1):
    model.add(layers.LSTM(HIDDEN, return_sequences=True))
model.add(layers.TimeDistributed(layers.Dense(len(chars), activation="softmax")))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.summary()
for iteration in range(1, 3):
    print("Iteration", iteration)
    model.fit(x[:160], y[:160], batch_size=32, epochs=1, validation_data=(x[160:], y[160:]))
    rowx, rowy = x[np.array([160])], y[np.array([160])]
    guess = "".join(chars[i] for i in model.predict(rowx, verbose=0).argmax(axis=-1)[0])
    print("T", "".join(chars[i] for i in rowy.argmax(axis=-1)[0]), "guess", guess)
