"""The job by Keras, on the backend that KERAS_BACKEND names; silent, no metrics, no validation.

On jax an epoch is one call (steps_per_execution), twice as fast as a call for every batch; compiling belongs to a fit
there, for every new model is compiled anew, so the time to train a compiled model again is reported, too. Unrolling
the loop over steps was tried: on jax four times slower to compile and train, on torch no faster.
"""

import job
import keras

BACKEND = keras.backend.backend()
STEPS_PER_CALL = {"jax": job.STEPS // job.EPOCHS, "torch": 1}


def fit(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [keras.Input((job.WINDOW, 1)), keras.layers.LSTM(job.HIDDEN), keras.layers.Dense(job.HORIZON)]
    )
    adam = keras.optimizers.Adam(job.RATE)
    net.compile(optimizer=adam, loss="mae", steps_per_execution=STEPS_PER_CALL[BACKEND])
    return train(net)


def train(net: keras.Model) -> keras.Model:
    x, y = job.windows(job.series()[: job.CUT])
    net.fit(x, y, batch_size=job.BATCH, epochs=job.EPOCHS, verbose=0)
    return net


def error(net: keras.Model) -> float:
    return job.mae(net.predict(job.held_out()[0], batch_size=1024, verbose=0))


job.report(fit, error, ["keras", BACKEND], again=train if BACKEND == "jax" else None)
