"""The job by regen.Forecaster, without a validation part so that it trains on the same windows."""

import job

import regen


def fit(seed: int) -> regen.Forecaster:
    plan = {"batch_size": job.BATCH, "validation": 0.0, "patience": None, "loss": "mae"}
    return regen.Forecaster(
        cell="lstm",
        window=job.WINDOW,
        horizon=job.HORIZON,
        hidden=job.HIDDEN,
        max_epochs=job.EPOCHS,
        learning_rate=job.RATE,
        normalize="none",
        random_state=seed,
        training=plan,
    ).fit(job.series()[: job.CUT])


def error(model: regen.Forecaster) -> float:
    return float(model.backtest(job.series(), start=job.CUT, stride=1).scores["mae"])


job.report(fit, error, ["torch", "regen"])
