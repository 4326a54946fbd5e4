"""The command line: its help, settings and errors, and training as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from repr_toolkit import commands
from repr_toolkit.cli import build_parser, continuation, main, split_settings
from repr_toolkit.support import pulse
from toys.processes import ROOT, in_subprocess, own_environment
from toys.runs import TINY

COMMANDS = (
    "data",
    "init",
    "recipes",
    "train",
    "study",
    "evaluate",
    "embed",
    "classify",
    "sample",
    "reconstruct",
    "complete",
    "interpolate",
    "faces",
    "portraits",
    "likeness",
    "where",
    "verify",
    "check",
    "field",
    "probe",
    "invariance",
    "information",
    "frozen",
    "traverse",
    "edit",
    "report",
    "runs",
    "cache",
)


# Help


def test_help_imports_nothing_heavy() -> None:
    """Of every command, one after the other in one process."""
    code = (
        "import sys\n"
        "from repr_toolkit.cli import main\n"
        "for command in sys.argv[1:]:\n"
        "    try: main([*filter(None, [command]), '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0, command\n"
        "    heavy = {'torch', 'lightning', 'numpy'} & sys.modules.keys()\n"
        "    assert not heavy, (command, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "", *COMMANDS], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("usage: repr-toolkit") == 1 + len(COMMANDS)


def test_every_option_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser()
    commands = next(action.choices for action in parser._actions if action.dest == "command")
    assert set(commands) == set(COMMANDS)
    for name, command in commands.items():
        for action in command._actions:
            assert action.help, f"{name} {action.option_strings or action.dest} has no help"


def test_without_a_command_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert "repr-toolkit study bottleneck_mnist5k" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "study"])
def test_help_explains_settings(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--training.steps 100" in capsys.readouterr().out


# Settings


def test_settings_are_parted_from_options() -> None:
    argv = ["train", "a.yaml", "--data.root=/x=y", "--name", "v1.0", "--out=b.png", "--seed", "3"]
    argv += ["--training.warmup", "-1", "--model.encoder", "null", "--training.warmup=2"]
    words, settings = split_settings(argv)
    assert words == ["train", "a.yaml", "--name", "v1.0", "--out=b.png", "--seed", "3"]
    assert settings == {"data.root": "/x=y", "training.warmup": "2", "model.encoder": "null"}


@pytest.mark.parametrize("argv", [["--training.steps"], ["--training.steps", "--wandb"]])
def test_a_setting_needs_a_value(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "bottleneck_mnist5k", *argv])
    assert stop.value.code == 2
    assert "--training.steps needs a value" in capsys.readouterr().err


def test_settings_where_there_are_none_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "run", "--training.steps", "3"])
    assert stop.value.code == 2
    assert "evaluate takes the settings --data.root, --data.source" in capsys.readouterr().err


# Recipes


def test_recipes_fit_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from repr_toolkit.config.recipe import list_recipes

    monkeypatch.setenv("COLUMNS", "80")
    assert main(["recipes"]) == 0
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    assert len(list_recipes()) >= 6
    for name in list_recipes():
        assert name in table  # whole, to be copied


def test_until_something_is_said_a_command_is_starting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def silent(options: object, settings: object) -> None:
        end = time.monotonic() + 60
        while not "".join(told) and time.monotonic() < end:
            time.sleep(0.01)
            told.append(capsys.readouterr().err)

    monkeypatch.setattr(pulse, "SILENCE", 0.01)
    monkeypatch.setattr(commands, "function", lambda name: silent)
    assert main(["recipes"]) == 0
    assert told[-1].startswith("  starting … 0 s\n")


def test_a_recipe_is_printed_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "bottleneck_photos"]) == 0
    assert capsys.readouterr().out == (ROOT / "recipes/bottleneck_photos.yaml").read_text("utf-8")


# Errors


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["recipes", "bottleneck_mnist"], "bottleneck_mnist5k"),
        (["train", "bottleneck_mnist"], "bottleneck_mnist5k"),
        (["train", "bottleneck_mnist5k", "--training.stepz", "3"], "training.steps"),
        (["study", "bottleneck_mnist5k", "--data.levels", "1000"], "data.levels"),
        (["study", "gated_cifar10"], "not a study"),
        (["evaluate", "nowhere"], "nowhere"),
        (["sample", "nowhere"], "nowhere"),
        (["reconstruct", "nowhere", "--out", "a.gif"], "no run nowhere"),
        (["check", "no.such.Thing"], "no.such"),
        (["check", "repr_toolkit.decoders.Deconv", "--features.x", "3"], "--init_args.NAME"),
    ],
)
def test_an_error_is_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("repr-toolkit: error: ")
    assert error.count("\n") == 1
    assert told in error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "there is not memory enough (no more could be had)"),
        (
            RuntimeError("can't allocate memory:\n9 GB"),
            "memory enough (can't allocate memory: 9 GB)",
        ),
        (RecursionError("too deep"), "something is nested too deeply (too deep)"),
    ],
)
def test_what_a_machine_cannot_do_is_one_line(
    error: Exception,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(options: object, settings: object) -> None:
        raise error

    monkeypatch.setattr("repr_toolkit.commands.function", lambda _: fails)
    assert main(["recipes"]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        main(["evaluate", "nowhere", "--debug"])


def test_a_bug_keeps_its_traceback(user_folder: Path) -> None:
    (user_folder / "bugs.py").write_text(
        "from torch import nn\n"
        "\n"
        "class Bug(nn.Module):\n"
        "    source, h_dim = 'image', 1\n"
        "\n"
        "    def forward(self, x):\n"
        "        raise ZeroDivisionError('mine')\n"
    )
    with pytest.raises(ZeroDivisionError, match="mine"):
        main(["check", "bugs.Bug"])


def test_wrong_usage_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "bottleneck_mnist5k", "--sed", "1"])
    assert stop.value.code == 2
    assert "--sed" in capsys.readouterr().err


# A user's folder


def test_training_finds_the_users_own_encoder(user_folder: Path) -> None:
    (user_folder / "my_project").mkdir()
    (user_folder / "my_project" / "nets.py").write_text(
        "from torch import Tensor, nn\n"
        "\n"
        "class ChannelMean(nn.Module):\n"
        "    source = 'image'\n"
        "    h_dim = 1\n"
        "\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        "        return x.float().mean((2, 3))\n"
    )
    (user_folder / "mine.yaml").write_text(yaml.safe_dump(TINY))
    mine = ["--model.encoder.class_path", "my_project.nets.ChannelMean"]
    assert main(["train", "mine.yaml", "--training.warmup", "1", *mine]) == 0
    config = yaml.safe_load((user_folder / "runs/mine/config.yaml").read_text())
    assert config["training"]["warmup"] == 1
    assert config["model"]["decoder"]["init_args"]["h_dim"] == 1
    assert (user_folder / "runs/mine/model.safetensors").is_file()


def test_two_processes_work_through_a_study_together(user_folder: Path) -> None:
    """Each is started by the same command line; one of them compares and speaks."""
    variants = {"short": {}, "long": {"model.encoder.init_args.h_dim": 4}}
    (user_folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "study": variants}))
    devices = "--trainer.accelerator cpu --trainer.devices 2 --trainer.strategy ddp"
    done = in_subprocess("study", "tiny.yaml", *devices.split(), cwd=user_folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("runs/tiny/figure6.png") == 1
    for variant in variants:
        assert (user_folder / "runs/tiny" / variant / "model.safetensors").is_file()


def test_how_to_go_on_with_what_is_kept() -> None:
    assert continuation("sample", ["sample", "runs/a"]).endswith("sample runs/a --resume")
    assert continuation("sample", ["sample", "a", "--resume"]).endswith("sample a --resume")
    assert continuation("sample", ["sample", "--", "-a"]).endswith("sample --resume -- -a")
    assert continuation("study", ["study", "a.yaml"]).endswith("study a.yaml")
    assert continuation("evaluate", ["evaluate", "runs/a"]) == ""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_tells_how_to_go_on(
    user_folder: Path, number: int, status: int, workers: int
) -> None:
    """It reaches the processes that load data too, which leave it to the main one, and end then."""
    tiny = {
        **TINY,
        "data": {**TINY["data"], "workers": workers},
        "training": {"steps": 100_000, "validate_every": 1},  # mostly within a validation
    }
    (user_folder / "long.yaml").write_text(yaml.safe_dump(tiny))
    with subprocess.Popen(
        [sys.executable, "-m", "repr_toolkit", "train", "long.yaml", "--seed", "1"],
        env=own_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, which a test run may be, ignores interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not list(user_folder.glob("runs/long/checkpoints/*.ckpt")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            os.killpg(process.pid, number)
            _, error = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):  # where all have ended
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status
    (line,) = [line for line in error.splitlines() if line.startswith("repr-toolkit: ")]
    assert re.search("stopped by (Ctrl-C|SIGTERM) after step [0-9,]+ of 100,000; go on with:", line)
    assert line.endswith("repr-toolkit train long.yaml --seed 1 --resume")
    assert "Traceback" not in error
    assert len(list(user_folder.glob("runs/long/checkpoints/*.ckpt"))) <= 2


def test_sigterm_ends_any_command_as_ctrl_c_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    # A shell that runs the tests in the background leaves SIGINT ignored.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, status, name in ((signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")):
        monkeypatch.setattr(
            commands, "function", lambda _, n=number: lambda *_: os.kill(os.getpid(), n)
        )
        assert main(["faces", ".", "a.npz"]) == status
        line = f"repr-toolkit: stopped by {name}; go on with: repr-toolkit faces . a.npz --resume\n"
        assert capsys.readouterr().err == line
    assert signal.getsignal(signal.SIGTERM) == before
    signal.signal(signal.SIGINT, interrupted)
