"""Training watched by callbacks: the best weights are kept and read again, the rate falls, it stops early (Keras 2)."""

import os
import tempfile

import keras
import numpy as np
from keras.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from keras.layers import Dense
from keras.models import Sequential, load_model

rng = np.random.RandomState(5)
x = rng.randn(160, 4).astype("float32")
y = (x @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.3 * rng.randn(160)).astype("float32")

model = Sequential([Dense(24, activation="tanh", input_dim=4), Dense(1)])
model.compile(keras.optimizers.SGD(lr=0.05, momentum=0.9, nesterov=True), "mse", metrics=["mae"])
folder = tempfile.mkdtemp()
path = os.path.join(folder, "best.keras")
callbacks = [
    ModelCheckpoint(path, monitor="val_loss", save_best_only=True, verbose=1),
    ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_lr=1e-4, verbose=1),
    EarlyStopping(monitor="val_loss", patience=3, min_delta=0.01, restore_best_weights=True, verbose=1),
    CSVLogger(os.path.join(folder, "log.csv")),
]
history = model.fit(x[:128], y[:128], batch_size=32, epochs=15, validation_data=(x[128:], y[128:]), callbacks=callbacks)
val_loss = history.history["val_loss"]
epochs_run = len(val_loss)
best = load_model(path)
predictions = best.predict(x[128:])
score = best.evaluate(x[128:], y[128:])
rows = open(os.path.join(folder, "log.csv")).read().count("\n")
