"""The job by PyOD's AutoEncoder without batch normalisation, dropout and weight decay; nothing printed.

Its code would pass through ReLU; here it is linear, as in the job. It leaves out the rows at the end of an epoch that
make no whole batch, so it takes 1,100 steps where the job has 1,150. Pixels are standardised beforehand, for its own
preprocessing divides by the deviation of a constant one, 0, and does so row by row. Scores of the training rows and a
threshold are part of its fit, as of regen's.
"""

import coding
import torch
from pyod.models.auto_encoder import AutoEncoder


class Detector(AutoEncoder):
    def build_model(self) -> None:
        super().build_model()
        self.model.encoder[-1].has_act = False


def fit(seed: int) -> Detector:
    center, scale = coding.scales()
    model = Detector(
        preprocessing=False,
        lr=coding.RATE,
        epoch_num=coding.EPOCHS,
        batch_size=coding.BATCH,
        random_state=seed,
        verbose=0,
        optimizer_params={"weight_decay": 0.0},
        hidden_neuron_list=[coding.HIDDEN, coding.CODE],
        batch_norm=False,
        dropout_rate=0.0,
    )
    model.fit((coding.TRAIN - center) / scale)
    return model


def error(model: Detector) -> float:
    center, scale = coding.scales()
    with torch.no_grad():
        restored = model.model(torch.from_numpy((coding.TEST - center) / scale)).numpy()
    return coding.mse(restored * scale + center)


coding.report(fit, error, ["torch", "pyod"])
