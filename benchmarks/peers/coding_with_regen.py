"""The job by regen.Autoencoder, nothing held out, so that it trains on the same rows."""

import coding

import regen


def fit(seed: int) -> regen.Autoencoder:
    return regen.Autoencoder(
        code=coding.CODE,
        hidden=(coding.HIDDEN,),
        output="real",
        max_epochs=coding.EPOCHS,
        learning_rate=coding.RATE,
        random_state=seed,
        training={"batch_size": coding.BATCH, "validation": 0.0},
    ).fit(coding.TRAIN)


def error(model: regen.Autoencoder) -> float:
    return coding.mse(model.reconstruct(coding.TEST))


coding.report(fit, error, ["torch", "regen"])
