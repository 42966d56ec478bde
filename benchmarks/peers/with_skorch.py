"""The job by skorch: its iterators are given arrays, no validation split, no printing, no scoring callbacks."""

import job
import numpy as np
import torch
from plain import Plain
from skorch import NeuralNetRegressor


def fit(seed: int) -> NeuralNetRegressor:
    torch.manual_seed(seed)
    model = NeuralNetRegressor(
        Plain,
        criterion=torch.nn.L1Loss,
        optimizer=torch.optim.Adam,
        lr=job.RATE,
        batch_size=job.BATCH,
        max_epochs=job.EPOCHS,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks="disable",
        verbose=0,
    )
    return model.fit(*job.windows(job.series()[: job.CUT]))


def error(model: NeuralNetRegressor) -> float:
    return job.mae(np.asarray(model.predict(job.held_out()[0])))


job.report(fit, error, ["torch", "skorch"])
