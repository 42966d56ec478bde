"""The job by Darts' BlockRNNModel, with Lightning's `barebones`: no bar, logger, checkpoints, summary or checks.

That is a quarter faster than to switch off each of them. Reversible instance normalisation is left off: slower, and
less accurate here. Its readout is a linear layer from each of the last 12 outputs of the LSTM
to one step of the horizon.
"""

import logging

import job
import numpy as np
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel

logging.disable(logging.WARNING)
QUIET = {"accelerator": "cpu", "barebones": True}


def fit(seed: int) -> BlockRNNModel:
    model = BlockRNNModel(
        model="LSTM",
        input_chunk_length=job.WINDOW,
        output_chunk_length=job.HORIZON,
        hidden_dim=job.HIDDEN,
        n_rnn_layers=1,
        loss_fn=torch.nn.L1Loss(),
        optimizer_kwargs={"lr": job.RATE},
        batch_size=job.BATCH,
        n_epochs=job.EPOCHS,
        random_state=seed,
        pl_trainer_kwargs=QUIET,
    )
    return model.fit(TimeSeries.from_values(job.series()[: job.CUT]), verbose=False)


def error(model: BlockRNNModel) -> float:
    forecasts = model.historical_forecasts(
        TimeSeries.from_values(job.series()),
        start=job.CUT,
        forecast_horizon=job.HORIZON,
        retrain=False,
        last_points_only=False,
    )
    return job.mae(np.stack([forecast.values() for forecast in forecasts]))


job.report(fit, error, ["torch", "darts", "pytorch-lightning"])
