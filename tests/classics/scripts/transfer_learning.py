"""Digits 0-4 first; then the features are frozen and a new head learns 5-9; then all of it is tuned (Keras 2)."""

import keras
from keras.layers import Activation, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8, 1).astype("float32") / 16
x_lt5, y_lt5 = x[y < 5][:128], y[y < 5][:128]
x_gte5, y_gte5 = x[y >= 5][:128], y[y >= 5][:128] - 5


def train_model(model, data, targets, num_classes, optimizer="adadelta"):
    y_train = keras.utils.to_categorical(targets, num_classes)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    model.fit(data[:96], y_train[:96], batch_size=32, epochs=2, verbose=1, validation_data=(data[96:], y_train[96:]))
    score = model.evaluate(data[96:], y_train[96:], verbose=0)
    print("Test score:", score[0], "accuracy:", score[1])
    return score


feature_layers = [
    Conv2D(8, 3, padding="valid", input_shape=(8, 8, 1)),
    Activation("relu"),
    Conv2D(8, 3),
    Activation("relu"),
    MaxPooling2D(pool_size=2),
    Dropout(0.25),
    Flatten(),
]
classification_layers = [Dense(24), Activation("relu"), Dropout(0.5), Dense(5), Activation("softmax")]
model = Sequential(feature_layers + classification_layers)
first = train_model(model, x_lt5, y_lt5, 5, keras.optimizers.Adam(0.01))

frozen = feature_layers[0].get_weights()
for layer in feature_layers:
    layer.trainable = False
second = train_model(model, x_gte5, y_gte5, 5, keras.optimizers.Adam(0.01))
unchanged = abs(frozen[0] - feature_layers[0].get_weights()[0]).max()

new_head = Sequential(feature_layers + [Dense(5, activation="softmax", name="new_head")])
for layer in new_head.layers:
    layer.trainable = True
third = train_model(new_head, x_gte5, y_gte5, 5, keras.optimizers.SGD(learning_rate=0.05, momentum=0.9))
