"""A run executes nothing by being read, however it asks, and trust lets it import what it names."""

import shutil
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import yaml

import repr_toolkit
from repr_toolkit.cli import main
from repr_toolkit.config.recipe import complete
from repr_toolkit.config.trust import require_trusted, trust_recipe
from repr_toolkit.training.train import train
from toys.processes import SHARED_CASES, in_subprocess
from toys.runs import TINY, small, small_metric, untrained_run

LAYER = "repr_toolkit.encoders.LayerActivations"
EVIL = "evil.Net"
"""A module of the current folder, which leaves a file when it is imported."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "evil.py").write_text(
        "from pathlib import Path\n"
        "Path('code_ran').touch()\n"
        "from toys.encoders import ChannelMean as Net\n"
    )
    return tmp_path


def checked(config: dict[str, Any]) -> None:
    copy_context().run(require_trusted, complete(config), Path("config.yaml"))


def encoder(**init_args: Any) -> dict[str, Any]:
    return small(model__encoder={"class_path": LAYER, "init_args": init_args})


@pytest.mark.parametrize(
    ("config", "place"),
    [
        (small(model__encoder__class_path=EVIL), "model.encoder.class_path"),
        (small(model__decoder__class_path="os.system"), "model.decoder.class_path"),
        (small(training__optimizer={"class_path": EVIL}), "training.optimizer.class_path"),
        (small(trainer__callbacks=[{"class_path": EVIL}]), "trainer.callbacks[0].class_path"),
        (small(trainer__callbacks=[{"class_path": "torch.nn.Linear"}]), "trainer.callbacks[0]"),
        (
            small(
                trainer__callbacks=[
                    {
                        "class_path": "lightning.pytorch.callbacks.LambdaCallback",
                        "init_args": {"on_train_start": "os.system"},
                    }
                ]
            ),
            "trainer.callbacks[0].init_args.on_train_start",
        ),
        (small(data__source="evil.load"), "data.source"),
        (small(data__source="repr_toolkit.cli.main"), "data.source"),
        (small(data__source="repr_toolkit.data.cache.require_room"), "data.source"),
        (small_metric(model__metric={"loss": {"class_path": EVIL}}), "model.metric.loss.class"),
        (
            small_metric(
                model__metric={
                    "loss": {
                        "class_path": "pytorch_metric_learning.losses.TripletMarginLoss",
                        "init_args": {"distance": {"class_path": EVIL}},
                    }
                }
            ),
            "model.metric.loss.init_args.distance.class_path",
        ),
        (encoder(model="os.system", init_args={"command": "touch code_ran"}), "init_args.model"),
        (encoder(model="torch.load", init_args={"weights_only": False}), "init_args.model"),
        (encoder(model="torch.nn.modules.module.functools.partial"), "init_args.model"),
        (encoder(model="torch.nn.functional.relu"), "init_args.model"),
        (encoder(model="torch.nn.functional.conv2d"), "init_args.model"),
        (encoder(model="- evil.Net"), "init_args.model"),
        # What a class has is of its module, and no factory of networks.
        (encoder(model="torch.nn.Embedding.from_pretrained"), "init_args.model"),
        (encoder(model="torchvision.models.ResNet.load_state_dict"), "init_args.model"),
        (encoder(model="torch.nn.Module.__class__.__call__"), "init_args.model"),
        (encoder(model="timm.layers.PatchEmbed.os.system"), "init_args.model"),
        (small(model__encoder__class_path="torch.nn.Embedding.from_pretrained"), "class_path"),
        (small(data__source="repr_toolkit.data.npz.no_such"), "data.source"),
        (encoder(model="torchvision.models.get_model"), "init_args.model"),
        (encoder(model={"class_path": EVIL}), "init_args.model.class_path"),
        (encoder(model="{class_path: evil.Net}"), "init_args.model"),
        (encoder(model='{"class_path": "ev\\x69l.Net"}'), "init_args.model"),
        (encoder(model="{class_path:\tevil.Net}"), "init_args.model"),
        (encoder(model="{class_path: evil.Net, a: [}"), "init_args.model"),
        (encoder(model="{a: [} {class_path: evil.Net}"), "init_args.model"),
        (encoder(model=" evil.Net"), "init_args.model"),
        (encoder(model=[{"evil.Net": 1}]), "init_args.model"),
        (encoder(model="timm.create_model", init_args={"model_name": "hf-hub:a/b"}), "model"),
        (
            encoder(
                model="timm.create_model",
                init_args={"model_name": "resnet18", "checkpoint_path": "a.pt"},
            ),
            "init_args.model",
        ),
        (
            small(
                training__optimizer__groups=[{"match": 1, "options": {"lr": {"f": "os.system"}}}]
            ),
            "groups[0].options.lr.f",
        ),
    ],
)
def test_what_a_run_may_not_import(config: dict[str, Any], place: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"load\(run, trust=True\)") as refused:
        checked(config)
    assert place in str(refused.value)
    assert str(refused.value).startswith("config.yaml names")
    assert not (folder / "code_ran").exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{class_path: evil.Net, init_args: {a: " + "[" * 60 + "]" * 60 + "}}", "50 levels deep"),
        ("- evil.Net\n" + "# as long as a book\n" * 100_000, "1,048,576 characters"),
        ("- &a [evil.Net, *a]", "100,000 values"),
    ],
)
def test_a_text_too_large_to_judge_refuses_the_run(text: str, told: str, folder: Path) -> None:
    layer = "torch.nn.TransformerEncoder"
    config = encoder(model={"class_path": layer, "init_args": {"encoder_layer": text}})
    with pytest.raises(ValueError, match=rf"^config\.yaml: .*encoder_layer: .*{told}$"):
        checked(config)
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "config",
    [
        small(),
        small(data__source="repr_toolkit.data.photos.photos"),
        small(data__source="my.images"),
        small_metric(),
        small(training__optimizer={"class_path": "repr_toolkit.training.muon.Muon"}),
        small(
            trainer__callbacks=[
                {
                    "class_path": "lightning.pytorch.callbacks.EarlyStopping",
                    "init_args": {"monitor": "val/bits_per_dim"},
                }
            ]
        ),
        encoder(model="torchvision.models.resnet18", layer="layer1.conv1", weights="net.pt"),
        encoder(model="timm.create_model", init_args={"model_name": "resnet18.a1_in1k"}),
        encoder(model="torchvision.models.ResNet", init_args={"layers": [1, 1, 1, 1]}),
        small(
            model__encoder={
                "class_path": "repr_toolkit.encoders.Precomputed",
                "init_args": {"h_dim": 2, "made_by": "a net: [1, 2] of os.path"},
            }
        ),
    ],
)
def test_what_a_run_may_import(config: dict[str, Any], folder: Path) -> None:
    (folder / "my.images").mkdir()
    checked(config)


def test_a_device_of_the_name_is_no_data(folder: Path) -> None:
    (folder / "evil.load").symlink_to("/dev/null")
    with pytest.raises(ValueError, match=r"'evil\.load' as its data\.source"):
        checked(small(data__source="evil.load"))


def test_a_recipe_trusts_its_own_paths(folder: Path) -> None:
    config = small(model__encoder__class_path=EVIL)

    def trusted() -> None:
        trust_recipe({**config, "study": {"b": {"model.decoder.class_path": "other.Net"}}})
        require_trusted(complete(config), Path("config.yaml"))
        require_trusted(small(model__decoder__class_path="other.Net"), Path("config.yaml"))
        with pytest.raises(ValueError, match="third"):
            require_trusted(small(model__decoder__class_path="third.Net"), Path("config.yaml"))

    copy_context().run(trusted)


def test_trust_lets_a_run_be_loaded_and_says_what_it_imports(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training trusts the recipe; reading the run later, in another process, does not."""
    config = small(model__encoder={"class_path": EVIL, "init_args": {"h_dim": 3}})
    run = copy_context().run(train, config, folder / "run")
    with pytest.raises(ValueError, match=r"model.encoder.class_path.*load\(run, trust=True\)"):
        repr_toolkit.load(run)
    assert main(["evaluate", "run"]) == 1
    assert "--trust" in capsys.readouterr().err

    def trusting() -> None:
        repr_toolkit.load(run, trust=True)
        assert "run/config.yaml, which imports evil.Net" in capsys.readouterr().err
        repr_toolkit.evaluate(run)  # from now on

    copy_context().run(trusting)
    capsys.readouterr()
    assert main(["evaluate", "run", "--trust", "--json"]) == 0
    assert capsys.readouterr().err == "trusting run/config.yaml, which imports evil.Net\n"


def test_the_command_line_trusts_its_recipe_for_the_whole_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {**TINY["model"], "encoder": {"class_path": EVIL, "init_args": {"h_dim": 3}}}
    study = {"a": {}, "b": {"seed": 1}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({**TINY, "model": model, "study": study}))
    for argv in (["study", "mine.yaml"], ["study", "mine.yaml"], ["train", "mine.yaml"]):
        assert main([*argv, "--name", argv[0]]) == 0
    assert "Next: repr-toolkit evaluate runs/train --trust\n" in capsys.readouterr().out
    assert main(["train", "mine.yaml", "--name", "train", "--resume"]) == 0
    assert main(["evaluate", "runs/train"]) == 1


def test_a_file_here_stands_for_no_package_that_may_be_missing(folder: Path) -> None:
    """Many libraries try to import others; a stranger's folder may hold files of their names."""
    untrained_run(folder / "run")
    for name in ("timm", "faiss", "transformers", "yaml", "neptune", "triton"):
        (folder / f"{name}.py").write_text("from pathlib import Path\nPath('code_ran').touch()\n")
    code = "import sys; sys.path.remove(''); from repr_toolkit.cli import main; sys.exit(main())"
    done = in_subprocess("evaluate", "run", cwd=folder, code=code)
    assert done.returncode == 0, done.stderr
    assert not (folder / "code_ran").exists()


@pytest.mark.skipif(not SHARED_CASES.is_dir(), reason="no cases beside the checkout")
@pytest.mark.parametrize("command", ["evaluate", "report", "sample", "probe", "information"])
def test_a_strangers_run(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = untrained_run(folder / "run")
    shutil.copy(SHARED_CASES / "stranger_config.yaml", run.config_file)
    assert main([command, "run"]) == 1
    assert "os.system" in capsys.readouterr().err
    assert not (folder / "code_ran").exists()
