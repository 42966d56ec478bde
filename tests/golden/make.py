"""Makes the golden models and what they answer. Run it once for each new format, never to repair a failing test."""

import json
from pathlib import Path

import numpy as np
import pandas

import regen
from regen import cells
from regen.persistence import FORMAT

HERE = Path(__file__).resolve().parent
TINY = {"hidden": 2, "max_epochs": 20, "learning_rate": 0.05, "random_state": 0}


def forecaster() -> regen.Forecaster:
    """Dated, with gaps, a cell with options and a training plan."""
    steps = np.arange(30)
    y = np.where(steps % 9 == 4, np.nan, np.round(10 * np.sin(steps / 2) + 20, 3))
    series = pandas.Series(y, pandas.date_range("1990-01-31", periods=30, freq="ME"), name="spots")
    plan = regen.Training(clip=None, max_time="5m", loss="mse", batch_size=4)
    cell = cells.LSTM(peephole="full")
    return regen.Forecaster(cell=cell, window=4, horizon=2, training=plan, **TINY).fit(series)


def sequences() -> list[np.ndarray]:
    """Twelve sequences of four lengths, fast and slow by turns."""
    return [np.round(np.sin(np.arange(5 + k % 4) / (1 + k % 2)), 3) for k in range(12)]


def classifier() -> regen.SequenceClassifier:
    """Labels that are text, sequences of different lengths."""
    labels = np.array(["fast", "slow"])[np.arange(12) % 2]
    return regen.SequenceClassifier(**TINY).fit(sequences(), labels)


if __name__ == "__main__":
    series, classes = forecaster(), classifier()
    regen.save(series, HERE / f"forecaster-format-{FORMAT}.safetensors")
    regen.save(classes, HERE / f"classifier-format-{FORMAT}.safetensors")
    said = series.predict(4, level=80)
    answers = {
        "forecast": said["spots"].tolist(),
        "high": said["spots-hi-80"].tolist(),
        "dates": [str(date.date()) for date in said.index],
        "sequences": [x.tolist() for x in sequences()[:3]],
        "probabilities": classes.predict_proba(sequences()[:3]).tolist(),
    }
    (HERE / f"answers-format-{FORMAT}.json").write_text(json.dumps(answers, indent=1) + "\n")
