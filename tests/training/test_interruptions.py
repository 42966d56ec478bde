"""Runs that are really killed, and really interrupted, in a process of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import regen

SCRIPT = """
import sys, time, warnings
import torch
from torch import nn
from safetensors.torch import save_file
from regen.training import Player, Training, solo, train
from regen.training import checkpoint

torch.set_num_threads(1)
checkpoint.WRITE_EVERY, checkpoint.WRITE_SHARE = 0.0, float("inf")
pause, path, output = float(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
inputs = torch.randn(200, 3)
targets = inputs.prod(1, keepdim=True)

class Batches:
    def __len__(self):
        return 20
    def epoch(self, generator):
        for index in torch.randperm(200, generator=generator).split(10):
            yield inputs[index], targets[index]

def loss(batch):
    time.sleep(pause)
    return {"loss": (net(batch[0]) - batch[1]).square().mean()}

seen = []
def validate():
    value = float((net(inputs) - targets).square().mean())
    print(value, flush=True)
    return {"loss": value}

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    history = train([Player("net", net, loss)], solo("net"), Batches(), Training(checkpoint=path, patience=None),
                    max_epochs=12, learning_rate=0.01, validate=validate, generator=torch.Generator().manual_seed(1))
save_file(net.state_dict(), output)
print(*[str(warning.message) for warning in caught], history.stopped, history.resumed, sep="\\n", flush=True)
"""


def start(folder: Path, name: str, checkpoint: str, pause: float) -> subprocess.Popen[str]:
    """Begin the run in a process of its own; its weights will be in `name`."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    source = str(Path(regen.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, str(script), str(pause), str(folder / checkpoint), str(folder / name)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> list[str]:
    """What it printed, once it ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()


def read_epochs(process: subprocess.Popen[str], number: int) -> None:
    """Wait for that many epochs."""
    assert process.stdout is not None
    for _ in range(number):
        assert process.stdout.readline()


def same(folder: Path, left: str, right: str) -> bool:
    """Whether two runs left the same weights, bit for bit."""
    one, two = load_file(folder / left), load_file(folder / right)
    return all(torch.equal(one[name], two[name]) for name in one)


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    """SIGKILL in the middle of an epoch; the same command again ends with the bits of a run never killed."""
    expected = ended(start(tmp_path, "whole", "whole.ckpt", 0.0))
    victim = start(tmp_path, "never", "run.ckpt", 0.05)
    read_epochs(victim, 3)
    time.sleep(0.1)
    victim.kill()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL and not (tmp_path / "never").exists()
    printed = ended(start(tmp_path, "resumed", "run.ckpt", 0.0))
    assert printed[-1].startswith("Resumed from ") and printed[-2] == "Reached max_epochs=12."
    epochs = len(printed) - 2
    assert "at step 0." not in printed[-1] and printed[:epochs] == expected[12 - epochs : 12]
    assert same(tmp_path, "whole", "resumed")


def test_ctrl_c_keeps_the_best_weights_and_warns(tmp_path: Path) -> None:
    """SIGINT ends training without a traceback; run again, it goes on from there to the same end."""
    ended(start(tmp_path, "whole", "whole.ckpt", 0.0))
    process = start(tmp_path, "interrupted", "run.ckpt", 0.05)
    read_epochs(process, 3)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed = ended(process)
    warning, stopped, resumed_from = printed[-3:]
    assert warning == stopped and resumed_from == ""
    assert stopped == "Interrupted by Ctrl-C in epoch 4; the best weights so far (epoch 3) are kept."
    assert not same(tmp_path, "whole", "interrupted")
    resumed = ended(start(tmp_path, "resumed", "run.ckpt", 0.0))
    assert resumed[-2] == "Reached max_epochs=12." and resumed[-1].startswith("Resumed from ")
    assert same(tmp_path, "whole", "resumed")


@pytest.mark.parametrize("moment", ["loss", "validation"])
def test_ctrl_c_at_any_moment(toy: type, moment: str) -> None:
    """Whether it comes in a move or in validation, the run returns normally, with the best weights if there are."""
    one, seen, moves = toy(), [], []

    def loss(batch: object) -> dict[str, torch.Tensor]:
        moves.append(1)
        if moment == "loss" and len(moves) == 17:
            raise KeyboardInterrupt
        return {"loss": one.loss(batch)}

    def validate() -> dict[str, float]:
        if moment == "validation" and len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(one.weights())
        return {"loss": float(len(seen))}

    with pytest.warns(
        UserWarning, match=r"^Interrupted by Ctrl-C in epoch 3; the best weights so far \(epoch 1\) are"
    ):
        history = one.train(one.player(loss), max_epochs=9, learning_rate=0.1, validate=validate)
    assert torch.equal(one.weights(), seen[0]) and history.best_epoch == 1 and len(history.rows) == 2
    assert not one.net.training


def test_ctrl_c_without_validation(toy: type) -> None:
    """Without a validation loss the current weights are kept."""
    one, before = toy(), []

    def loss(batch: object) -> dict[str, torch.Tensor]:
        before.append(one.weights())
        if len(before) == 17:
            raise KeyboardInterrupt
        return {"loss": one.loss(batch)}

    with pytest.warns(UserWarning, match=r"^Interrupted by Ctrl-C in epoch 3; the last weights are kept\.$"):
        one.train(one.player(loss), max_epochs=9, learning_rate=0.1)
    assert torch.equal(one.weights(), before[-1]) and not torch.equal(one.weights(), one.before)
