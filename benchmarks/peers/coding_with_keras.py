"""The job by Keras, on the backend that KERAS_BACKEND names; silent, no metrics, no validation.

On jax an epoch is one call (steps_per_execution); compiling belongs to a fit there, for every new model is compiled
anew, so the time to train a compiled model again is reported, too.
"""

import coding
import keras
from keras import layers

BACKEND = keras.backend.backend()
STEPS_PER_CALL = {"jax": coding.STEPS // coding.EPOCHS, "torch": 1}


def fit(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(coding.HIDDEN, activation="relu"),
            layers.Dense(coding.CODE),
            layers.Dense(coding.HIDDEN, activation="relu"),
            layers.Dense(64),
        ]
    )
    adam = keras.optimizers.Adam(coding.RATE)
    net.compile(optimizer=adam, loss="mse", steps_per_execution=STEPS_PER_CALL[BACKEND])
    return train(net)


def train(net: keras.Model) -> keras.Model:
    center, scale = coding.scales()
    x = (coding.TRAIN - center) / scale
    net.fit(x, x, batch_size=coding.BATCH, epochs=coding.EPOCHS, verbose=0)
    return net


def error(net: keras.Model) -> float:
    center, scale = coding.scales()
    restored = net.predict((coding.TEST - center) / scale, batch_size=1024, verbose=0)
    return coding.mse(restored * scale + center)


coding.report(fit, error, ["keras", BACKEND], again=train if BACKEND == "jax" else None)
