"""The job by pythae's AE with the layers of the job; no evaluation part, nothing printed (TQDM_DISABLE is set).

It writes the last model to a folder, as it always does; its squared error is summed over pixels, which Adam does not
mind.
"""

import logging
import tempfile

import coding
import torch
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from torch import nn

logging.disable(logging.WARNING)


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.latent_dim = coding.CODE
        self.layers = nn.Sequential(
            nn.Linear(64, coding.HIDDEN), nn.ReLU(), nn.Linear(coding.HIDDEN, coding.CODE)
        )

    def forward(self, x: torch.Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(coding.CODE, coding.HIDDEN), nn.ReLU(), nn.Linear(coding.HIDDEN, 64)
        )

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def fit(seed: int) -> AE:
    torch.manual_seed(seed)
    center, scale = coding.scales()
    model = AE(AEConfig(input_dim=(64,), latent_dim=coding.CODE), encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=coding.EPOCHS,
            learning_rate=coding.RATE,
            per_device_train_batch_size=coding.BATCH,
            seed=seed,
        )
        TrainingPipeline(model=model, training_config=settings)((coding.TRAIN - center) / scale)
    return model


def error(model: AE) -> float:
    center, scale = coding.scales()
    model.eval()
    with torch.no_grad():
        restored = model.reconstruct(torch.from_numpy((coding.TEST - center) / scale)).numpy()
    return coding.mse(restored * scale + center)


coding.report(fit, error, ["torch", "pythae"])
