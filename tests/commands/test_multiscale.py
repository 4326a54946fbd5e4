"""Runs of several scales serve the commands as those of one do, exact ones and bounds alike."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repr_toolkit.analyses.classification import pixel_classifiers
from repr_toolkit.analyses.comparison.measure import measure
from repr_toolkit.cli import main
from repr_toolkit.config.build import build
from repr_toolkit.config.recipe import complete
from repr_toolkit.decoders import MultiScale, MultiScaleAsPublished
from repr_toolkit.report import inputs
from repr_toolkit.runs.run import Run, load_with_decoder
from toys.decoders import PIXELCNN
from toys.reports import QUICK
from toys.runs import untrained_run

FEW = ["--part-images", "10", "--bound-images", "20", "--candidates", "4", "--parts", "2"]
ROW = {
    "class_path": "repr_toolkit.decoders.RowLSTM",
    "init_args": {"features": 4, "layers": 1},
}


def scales(make: type, small: Any = ROW) -> dict[str, Any]:
    arguments = {"factor": 2, "features": 4, "small": small, "large": PIXELCNN}
    return {"class_path": f"repr_toolkit.decoders.{make.__name__}", "init_args": arguments}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[type, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        make: untrained_run(folder / make.__name__, decoder=scales(make))
        for make in (MultiScale, MultiScaleAsPublished)
    }


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that draws few images, and shows its judge the training images once."""
    monkeypatch.setattr(inputs, "measure", partial(measure, **QUICK))
    monkeypatch.setattr(pixel_classifiers, "EPOCHS", 1)
    monkeypatch.setattr(pixel_classifiers, "SHOWN", 0)


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("make", [MultiScale, MultiScaleAsPublished])
def test_every_command_serves_it(
    make: type, runs: dict[type, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(runs[make].path), tmp_path / "images.png"

    def told(*argv: str) -> dict[str, Any]:
        assert main([*argv, "--json"]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    label = {
        MultiScale: "exact",
        MultiScaleAsPublished: "upper bound, the small image scored twice",
    }
    assert told("evaluate", run)["likelihood"] == label[make]
    assert main(["sample", run, "-n", "3", "--out", str(out)]) == 0
    with np.load(out.with_suffix(".npz")) as file:
        assert file["image"].shape == (3, 1, 8, 8)
    capsys.readouterr()
    assert told("probe", run)
    maps = ["--out", str(tmp_path / "maps.png")] if make is MultiScale else []  # of sub-pixels
    information = told("information", run, *FEW, *maps)
    assert information["bits_per_dim"]["value"] > 0
    completing = ["complete", run, "--images", "2", "--mask", "top", "--out", f"{out}.png"]
    if make is MultiScale:
        assert main(completing) == 0
        assert "sees only what comes before it in the model's order" in capsys.readouterr().out
    else:
        assert main(completing) == 1
        assert "cannot complete: it draws whole images" in capsys.readouterr().err
    assert main(["report", run]) == 0
    assert label[make] in (runs[make].path / "report.html").read_text("utf-8")


def test_a_run_keeps_all_arguments_of_all_its_scales(tmp_path: Path) -> None:
    decoder = scales(MultiScale, scales(MultiScale, PIXELCNN))
    run = untrained_run(tmp_path / "three", decoder=decoder)
    arguments = run.config["model"]["decoder"]["init_args"]
    inner = arguments["small"]["init_args"]
    assert arguments["conditioning"] == inner["conditioning"] == "vector"
    for spec in (arguments["large"], inner["small"], inner["large"]):
        assert spec["init_args"]["kernel_size"] == 3
    model = load_with_decoder(run)
    assert isinstance(model.decoder, MultiScale)
    assert isinstance(model.decoder.small, MultiScale)
    assert model.decoder.small.small.image_shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"class_path": "torch.nn.Linear"}, "torch.nn.Linear.*subclass.*Decoder"),
        ({**ROW, "init_args": {"features": 4, "layer": 1}}, "'layer' is not accepted"),
        ({**ROW, "init_args": {"features": 4}}, "required: layers"),
        ({"class_path": "repr_toolkit.decoders.Deconv"}, "small is Deconv: no Autoregressive"),
    ],
)
def test_a_scale_that_cannot_be_is_named(
    spec: dict[str, Any], message: str, runs: dict[type, Run]
) -> None:
    data = {"source": "digits"}
    config = complete({"data": data, "model": {"decoder": scales(MultiScale, spec)}})
    with pytest.raises(ValueError, match=message):
        build(config, runs[MultiScale].load_data())
