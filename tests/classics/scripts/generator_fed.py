"""Batches from a Sequence, with class weights and a model that returns two outputs' losses (Keras 2)."""

import math

import numpy as np
from keras.layers import BatchNormalization, Dense, Input
from keras.models import Model
from keras.utils import Sequence


class Batches(Sequence):
    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y = x, y
        self.batch_size = batch_size

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, idx):
        rows = slice(idx * self.batch_size, (idx + 1) * self.batch_size)
        return self.x[rows], self.y[rows]


rng = np.random.RandomState(3)
x = rng.randn(200, 6).astype("float32")
y = (x[:, :1] * x[:, 1:2] > 0.4).astype("float32")

inputs = Input((6,))
h = Dense(16, activation="elu")(inputs)
h = BatchNormalization(momentum=0.9)(h)
h = Dense(16, activation="elu")(h)
model = Model(inputs, Dense(1, activation="sigmoid")(h))
model.compile("nadam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit_generator(
    Batches(x, y, 32), epochs=3, class_weight={0: 1.0, 1: 2.0}, validation_data=Batches(x, y, 50)
)
val_loss = history.history["val_loss"]
predictions = model.predict_generator(Batches(x, y, 64))
