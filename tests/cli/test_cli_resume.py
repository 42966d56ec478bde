"""Runs that a signal, a limit or an error ended: what is kept, and `regen resume`, which goes on with them."""

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regen as package
from regen._files import FileLock
from regen.cli import signals
from regen.cli.runs import Run
from regen.cli.signals import Interruptible
from regen.data.io.paths import content_digest
from regen.training.checkpoint import Checkpoint
from regen.training.stopping import EarlyStopping

SMALL = ("--window", "6", "--horizon", "3", "--hidden", "3", "--dropout", "0.2", "--batch-size", "8")
FIT = ("fit", "forecaster", "sales.csv", *SMALL, "--max-epochs", "5", "--patience", "none", "-o", "runs/a")
FILES = ["history.csv", "model.safetensors", "run.json"]
UNFINISHED = ["checkpoint.safetensors", *FILES]
Ends = Callable[..., None]
pytestmark = pytest.mark.filterwarnings("default:Interrupted by:UserWarning")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers of a program in the foreground; a shell starts one in the background with Ctrl-C ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    former = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Ends:
    """Do something once, when an epoch of a training ends."""

    def at(epoch: int, act: Callable[[], None]) -> None:
        plain = EarlyStopping.update
        acts = [act]

        def update(self: EarlyStopping, loss: float, number: int) -> None:
            plain(self, loss, number)
            if number == epoch and acts:
                acts.pop()()

        monkeypatch.setattr(EarlyStopping, "update", update)

    return at


def terminate() -> None:
    """What a shutdown sends."""
    os.kill(os.getpid(), signal.SIGTERM)


def press() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def files(run: str = "runs/a") -> list[str]:
    """What is in the folder of a run."""
    return sorted(path.name for path in Path(run).iterdir())


def facts(run: str = "runs/a") -> dict[str, Any]:
    """What is written about a run."""
    return json.loads(Path(run, "run.json").read_text())  # type: ignore[no-any-return]


def same(left: Any, right: Any) -> bool:
    """Whether two runs have the same weights and history, apart from the seconds."""
    one, two = package.load(left), package.load(right)
    weights = [model.net_.state_dict() for model in (one, two)]
    history = [{name: v for name, v in model.epochs_.items() if name != "seconds"} for model in (one, two)]
    return history[0] == history[1] and all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


@pytest.fixture
def whole(regen: Any, sales: str) -> str:
    """The run without interruption, of seed 0."""
    assert regen(*FIT[:-1], "runs/whole", "--random-state", 0).exit_code == 0
    return "runs/whole"


@pytest.mark.parametrize(("send", "name", "code"), [(terminate, "SIGTERM", 143), (press, "Ctrl-C", 130)])
def test_a_signal_saves_the_run_and_resume_ends_it(
    regen: Any, whole: str, ending: Ends, send: Callable[[], None], name: str, code: int
) -> None:
    """The best weights are there at once; resumed, the run is the one without interruption, bit for bit."""
    ending(3, send)
    stopped = regen(*FIT, "--random-state", 0)
    assert stopped.exit_code == code
    assert stopped.stderr.splitlines() == [
        f"Note: Interrupted by {name} in epoch 3; the best weights so far (epoch"
        f" {package.load('runs/a').best_epoch_}) are kept.",
        "The run is saved in runs/a. Continue it with: regen resume runs/a",
    ]
    assert files() == UNFINISHED and not facts()["finished"] and not same("runs/a", whole)
    resumed = regen("resume", "runs/a")
    assert resumed.exit_code == 0, resumed.output
    assert "Resumed from 'runs/a/checkpoint.safetensors'" in resumed.stdout
    assert files() == FILES and facts()["finished"] and same("runs/a", whole)
    assert facts()["command"] == facts(whole)["command"]


def test_a_signal_in_the_first_epoch(regen: Any, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history without a row is one, too."""
    with monkeypatch.context() as patch:
        patch.setattr("regen.training.loop._Run.train_batch", lambda *_: terminate())
        assert regen(*FIT, "--random-state", 0).exit_code == 143
    assert files() == UNFINISHED and package.load("runs/a").n_epochs_ == 0
    assert regen("resume", "runs/a").exit_code == 0 and same("runs/a", whole)


def test_a_run_without_a_seed_resumes(regen: Any, sales: str, ending: Ends) -> None:
    """A seed is drawn and written down, with which the command gives the same run."""
    ending(2, terminate)
    assert regen(*FIT).exit_code == 143
    assert regen("resume", "runs/a").exit_code == 0
    seed = facts()["options"]["random_state"]
    assert regen(*FIT[:-1], "runs/b", "--random-state", seed).exit_code == 0
    assert same("runs/a", "runs/b")
    assert regen(*FIT[:-1], "runs/c").exit_code == 0 and facts("runs/c")["options"]["random_state"] != seed


def test_two_signals_for_one(regen: Any, sales: str, ending: Ends) -> None:
    """A second signal right after the first does not spoil the saving."""
    ending(3, lambda: (terminate(), terminate())[0])
    original = Checkpoint.flush

    def flush(self: Any) -> None:
        press()
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regen.training.checkpoint.Checkpoint.flush", flush)
        assert regen(*FIT).exit_code == 143
    assert files() == UNFINISHED


@pytest.mark.parametrize("moment", ["flush", "save", "run.json"])
def test_a_second_signal_ends_at_once_without_damage(
    regen: Any, whole: str, ending: Ends, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever insists gets no model, but the checkpoint is whole and the run goes on from it."""
    monkeypatch.setattr(signals, "BOUNCE", 0.0)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_EVERY", 0.0)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_SHARE", float("inf"))
    ending(3, terminate)

    def stop(*_: Any, **__: Any) -> None:
        press()

    place = {"flush": "regen.training.checkpoint.Checkpoint.flush", "save": "regen.cli.runs.save"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.get(moment, "regen.cli.runs._csv"), stop)
        stopped = regen(*FIT, "--random-state", 0)
    assert stopped.exit_code == 143
    note, last = stopped.stderr.splitlines()[-2:]
    assert note.endswith("steps of the training are kept. Continue it with: regen resume runs/a")
    assert last == "Interrupted by SIGTERM." and "checkpoint.safetensors" in files()
    assert regen("resume", "runs/a").exit_code == 0
    assert files() == FILES and same("runs/a", whole)


@pytest.mark.parametrize("send", [terminate, press])
def test_a_signal_before_training(regen: Any, sales: str, send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the data are read there is nothing to keep: no folder is left."""
    monkeypatch.setattr(sys.modules["regen.cli.fit"], "read_table", lambda *_, **__: send())
    stopped = regen(*FIT)
    name, code = ("SIGTERM", 143) if send is terminate else ("Ctrl-C", 130)
    assert (stopped.exit_code, stopped.stderr) == (code, f"Interrupted by {name}.\n")
    assert not Path("runs").exists()


def test_a_full_disk_at_the_end(regen: Any, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model cannot be written, the training is not lost: resume needs no further step."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("regen.cli.runs.save", full)
        failed = regen(*FIT, "--random-state", 0)
    assert failed.exit_code == 2 and "No space left on device" in failed.stderr
    assert "Continue it with: regen resume runs/a" in failed.stderr
    predicted = regen("predict", "runs/a")
    assert (predicted.exit_code, predicted.stderr) == (
        2,
        "The run in 'runs/a' is not finished and has no model yet. Continue it with: regen resume runs/a\n",
    )
    monkeypatch.setattr("regen.training.loop._Run.train_batch", None)
    assert regen("resume", "runs/a").exit_code == 0 and same("runs/a", whole)


def test_a_run_that_was_killed_before_it_saved_anything(regen: Any, whole: str) -> None:
    """It begins anew, with the same seed."""
    os.makedirs("runs/a")
    Path("runs/a/run.json").write_text(json.dumps(facts(whole) | {"finished": False, "stopped": ""}))
    again = regen(*FIT)
    assert again.exit_code == 2 and again.stderr == (
        "There is an unfinished run in 'runs/a' already. Continue it with regen resume runs/a, choose another folder"
        " with --output, or replace it with --force.\n"
    )
    resumed = regen("resume", "runs/a")
    assert resumed.stderr == "Note: Nothing of the run has been saved: it begins anew.\n"
    assert files() == FILES and same("runs/a", whole)


def test_a_limit_of_time(regen: Any, whole: str) -> None:
    """A run that was out of time keeps its checkpoint, and goes on when it gets more."""
    out = regen(*FIT, "--random-state", 0, "--max-time", "0.001s").stdout
    assert "Continue it with: regen resume runs/a --max-time TIME\n" in out and files() == UNFINISHED
    refused = regen("resume", "runs/a")
    assert refused.exit_code == 2 and refused.stderr == (
        "The run in 'runs/a' has used up its time: Reached max_time=0.001s in epoch 1. Give more: regen resume runs/a"
        " --max-time TIME\n"
    )
    assert regen("resume", "runs/a", "--max-time", "none").exit_code == 0
    assert files() == FILES and same("runs/a", whole)


def test_a_finished_run_is_extended(regen: Any, whole: str) -> None:
    """With a checkpoint that was asked for, from another folder, and with data that were moved."""
    short = [*FIT, "--random-state", 0, "--checkpoint", "kept"]
    short[short.index("--max-epochs") + 1] = "2"
    assert regen(*short).exit_code == 0 and Path("kept").exists() and files() == FILES
    refused = regen("resume", "runs/a").stderr
    assert refused.startswith("The run in 'runs/a' is finished: Reached max_epochs=2.")
    assert refused.endswith("Give more, such as --max-epochs, to extend it.\n")
    Path("sales.csv").rename("moved.csv")
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert regen("resume", "../runs/a", "--max-epochs", 5, "--data", "../moved.csv").exit_code == 0
    assert same("../runs/a", "../runs/whole") and facts("../runs/a")["options"]["max_epochs"] == "5"


def test_a_refused_resume_changes_nothing(regen: Any, sales: str, ending: Ends) -> None:
    """A limit that does not fit the run is refused, and the run is as it was."""
    ending(3, terminate)
    assert regen(*FIT, "--schedule", "onecycle").exit_code == 143
    before = {name: Path("runs/a", name).read_bytes() for name in files()}
    refused = regen("resume", "runs/a", "--max-epochs", 50)
    assert refused.exit_code == 2 and "belongs to another run: the length of the run" in refused.stderr
    wrong = regen("resume", "runs/a", "--max-epochs", 0).stderr
    assert wrong == "The '--max-epochs' parameter of Forecaster must be an int in [1, inf). Got 0 instead.\n"
    assert {name: Path("runs/a", name).read_bytes() for name in files()} == before
    assert regen("resume", "runs/a").exit_code == 0


def test_a_replacement_that_fails_leaves_the_unfinished_run(regen: Any, whole: str, ending: Ends) -> None:
    """--force removes a checkpoint only once there is a new one."""
    ending(3, terminate)
    regen(*FIT, "--random-state", 0)
    before = {name: Path("runs/a", name).read_bytes() for name in files()}
    assert regen(*FIT, "--force", "--target", "nothing").exit_code == 2
    assert {name: Path("runs/a", name).read_bytes() for name in files()} == before
    assert regen("resume", "runs/a").exit_code == 0 and same("runs/a", whole)
    ending(3, terminate)
    regen(*FIT, "--force", "--hidden", "4")
    assert regen(*FIT, "--force", "--hidden", "5").exit_code == 0
    assert files() == FILES and package.load("runs/a").hidden == 5


def change_data() -> None:
    """Another value in the last line."""
    Path("sales.csv").write_text(Path("sales.csv").read_text().rstrip("\n") + "1\n")


def rewrite(**changes: Any) -> Callable[[], None]:
    """Other facts in run.json; None takes one away."""

    def act() -> None:
        new = facts() | changes
        kept = {name: value for name, value in new.items() if changes.get(name, 0) is not None}
        Path("runs/a/run.json").write_text(json.dumps(kept))

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            change_data,
            "The run in 'runs/a' cannot be resumed: the content of 'sales.csv' has changed since it began. Bring the"
            " former content back, or fit again with --force.",
        ),
        (
            lambda: Path("sales.csv").unlink(),
            "The data of the run in 'runs/a', '{here}/sales.csv', are gone. Put them back, or name their new place"
            " with --data.",
        ),
        (
            lambda: rewrite(sha256="")(),
            "The run in 'runs/a' cannot be resumed: the content of 'sales.csv' has changed since it began. Bring the"
            " former content back, or fit again with --force.",
        ),
        (
            rewrite(options=None),
            "The run in 'runs/a' cannot be resumed: its run.json does not record how it began, as that of an earlier"
            " version of regen. Fit again.",
        ),
        (
            lambda: Path("runs/a/checkpoint.safetensors").unlink(),
            "The checkpoint 'runs/a/checkpoint.safetensors' of the run in 'runs/a' is gone: there is nothing to"
            " resume. Fit again with --force.",
        ),
        (
            lambda: Path("runs/a/run.json").unlink(),
            "The folder 'runs/a' holds no run.json. Give a folder that regen fit made.",
        ),
    ],
)
def test_refusals(regen: Any, sales: str, ending: Ends, act: Callable[[], None], message: str) -> None:
    """One sentence each, and the run stays as it was."""
    ending(2, terminate)
    assert regen(*FIT).exit_code == 143
    act()
    before = {name: Path("runs/a", name).read_bytes() for name in files()}
    refused = regen("resume", "runs/a")
    assert (refused.exit_code, refused.stderr) == (2, message.format(here=os.getcwd()) + "\n")
    assert {name: Path("runs/a", name).read_bytes() for name in files()} == before


def test_what_cannot_be_resumed(regen: Any, refusal: Any, sales: str, ending: Ends) -> None:
    """No checkpoint, no run, no folder."""
    ending(2, terminate)
    assert regen(*FIT, "--checkpoint", "none").stderr.splitlines()[-1] == "The run is saved in runs/a."
    assert files() == FILES
    assert refusal("resume", "runs/a") == (
        "The run in 'runs/a' was fitted with --checkpoint none: there is nothing to resume. Fit again with --force."
    )
    assert refusal("resume", "runs/b") == "There is no folder 'runs/b'."
    assert refusal("resume", "sales.csv") == "'sales.csv' is a file. Give the folder of a run."
    assert regen(*FIT[:-1], "runs/c").exit_code == 0
    assert refusal("resume", "runs/c").endswith("fit with --checkpoint FILE to keep one.")


def test_data_from_a_pipe(regen: Any, refusal: Any, sales: str, ending: Ends) -> None:
    """They cannot be read again, and that is said."""
    ending(2, terminate)
    regen(*FIT)
    os.mkfifo("pipe.csv")
    path = Path("runs/a/run.json")
    path.write_text(json.dumps(facts() | {"data": "pipe.csv", "sha256": None}))
    assert refusal("resume", "runs/a") == (
        "The run in 'runs/a' cannot be resumed: its data came from 'pipe.csv', a pipe that cannot be read again."
        " Write them to a file and fit on that."
    )
    assert content_digest(Path("pipe.csv")) is None


def test_a_run_that_is_being_trained(regen: Any, refusal: Any, sales: str, ending: Ends) -> None:
    """Neither resumed nor replaced by another process, whose number is named."""
    ending(2, terminate)
    regen(*FIT)
    lock = FileLock(Path("runs/a/checkpoint.safetensors"))
    assert lock.acquire() is None
    try:
        for command in (("resume", "runs/a"), (*FIT, "--force")):
            message = refusal(*command)
            assert message.startswith("The run in 'runs/a' is being trained by this process")
            assert message.endswith("Wait until that training ends, or end it.")
    finally:
        lock.release()


def test_another_version_is_named(regen: Any, sales: str, ending: Ends) -> None:
    """Bits are promised for one version of torch only."""
    ending(2, terminate)
    regen(*FIT)
    rewrite(versions=facts()["versions"] | {"torch": "2.0.0"})()
    resumed = regen("resume", "runs/a")
    assert resumed.exit_code == 0
    assert resumed.stderr == (
        f"Note: The run began with torch 2.0.0, this is torch {torch.__version__}: results may differ in the last"
        " digits.\n"
    )


def test_the_output_is_a_folder_whatever_its_name(regen: Any, sales: str) -> None:
    """-o model.regen makes a folder of that name, with the checkpoint in it until the end."""
    seen: list[list[str]] = []
    plain = Run.keep

    def keep(self: Run, model: Any, *, finished: bool) -> None:
        seen.append(files("model.regen"))
        plain(self, model, finished=finished)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "keep", keep)
        assert regen(*FIT[:-1], "model.regen").exit_code == 0
    assert seen == [["checkpoint.safetensors", "run.json"]] and files("model.regen") == FILES
    assert "checkpoint" not in str(package.load("model.regen").training)


def test_folders_have_digests(tmp_path: Path) -> None:
    """Names and contents count, the order of the file system does not."""
    found = set()
    for number, names in enumerate([("a", "b"), ("b", "a"), ("a", "c")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(name.encode())
        found.add(content_digest(folder))
    (tmp_path / "0" / "b").write_bytes(b"x")
    found.add(content_digest(tmp_path / "0"))
    assert len(found) == 3 and content_digest(tmp_path / "nothing") is None


def test_handlers_are_those_of_before(regen: Any, sales: str) -> None:
    """The command line takes signals for its time only; Python's fit takes none, and threads have none."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert regen(*FIT).exit_code == 0
    seen: list[Any] = []
    package.Forecaster(window=6, hidden=2, max_epochs=1, training={"validation": 0}).fit(np.arange(40.0))
    thread = threading.Thread(target=lambda: seen.append(Interruptible().__enter__()._former))
    thread.start()
    thread.join()
    assert seen == [{}] and [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    with Interruptible() as inside:
        assert signal.getsignal(signal.SIGTERM) == inside._interrupt
        with Interruptible():  # another handler is left alone
            assert signal.getsignal(signal.SIGTERM) == inside._interrupt
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
