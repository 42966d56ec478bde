"""The job by NeuralForecast's LSTM: 740 steps of 32 windows each, one linear layer as decoder.

Lightning's bar, logger, checkpoints and model summary are off, and so are validation passes and the scaling of
windows, without which it is both faster and more accurate here. Its batches are windows drawn from the series; its
readout is a linear layer from each of the last 12 outputs of the LSTM to one step of the horizon.
"""

import logging

import job
import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import LSTM

logging.disable(logging.WARNING)


def table(rows: np.ndarray) -> pd.DataFrame:
    """Series (n, steps) in NeuralForecast's long form."""
    n, steps = rows.shape
    return pd.DataFrame(
        {"unique_id": np.repeat(np.arange(n), steps), "ds": np.tile(np.arange(steps), n), "y": rows.ravel()}
    )


def fit(seed: int) -> NeuralForecast:
    net = LSTM(
        h=job.HORIZON,
        input_size=job.WINDOW,
        encoder_n_layers=1,
        encoder_hidden_size=job.HIDDEN,
        decoder_layers=1,
        loss=MAE(),
        learning_rate=job.RATE,
        max_steps=job.STEPS,
        batch_size=1,
        windows_batch_size=job.BATCH,
        scaler_type="identity",
        random_seed=seed,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    model = NeuralForecast([net], freq=1)
    model.fit(table(job.series()[None, : job.CUT]), val_size=0)
    return model


def error(model: NeuralForecast) -> float:
    found = model.predict(table(job.held_out()[0][..., 0]))
    return job.mae(found.sort_values(["unique_id", "ds"])["LSTM"].to_numpy())


job.report(fit, error, ["torch", "neuralforecast", "pytorch-lightning"])
