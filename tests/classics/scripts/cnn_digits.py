"""A small convolutional network on digits (Keras 2)."""

import keras
from keras import backend as K
from keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from sklearn.datasets import load_digits

num_classes = 10
img_rows, img_cols = 8, 8

x, y = load_digits(return_X_y=True)
x = x[:320].reshape(-1, img_rows, img_cols, 1).astype("float32") / 16
input_shape = (img_rows, img_cols, 1)
y = keras.utils.to_categorical(y[:320], num_classes)

model = Sequential()
model.add(Conv2D(8, kernel_size=(3, 3), activation="relu", input_shape=input_shape))
model.add(Conv2D(16, (3, 3), activation="relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(32, activation="relu"))
model.add(Dropout(0.5))
model.add(Dense(num_classes, activation="softmax"))
model.compile(
    loss=keras.losses.categorical_crossentropy, optimizer=keras.optimizers.Adadelta(lr=1.0), metrics=["accuracy"]
)
model.fit(x[:256], y[:256], batch_size=32, epochs=2, verbose=1, validation_data=(x[256:], y[256:]))
score = model.evaluate(x[256:], y[256:], verbose=0)
print("Test loss:", score[0], "accuracy:", score[1], "epsilon", K.epsilon() if hasattr(K, "epsilon") else 1e-7)
