"""The command `frozen`: its sources and their options, what it writes, and its errors."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from repr_toolkit.cli import main
from repr_toolkit.runs.run import Run
from toys.runs import TINY


@pytest.fixture(autouse=True)
def search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())


def test_fresh_decoders_on_frozen_h(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY))
    argv = ["frozen", str(recipe), "labels", "seven=pca", "torchvision.models.squeezenet1_1"]
    argv += ["--components", "7", "--layer", "features.2", "--image-size", "16"]
    argv += ["--weights-seed", "3", "--runs-dir", str(tmp_path / "runs"), "--candidates", "4"]
    argv += ["--training.pictures", "0", "--training.warmup", "1", "--seeds", "0", "--no-control"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "runs/frozen_tiny"
    text = (folder / "frozen.md").read_text("utf-8")
    assert text.partition("\n\n")[2] in out
    assert out.splitlines()[-1] == str(folder / "frozen.png")
    assert (folder / "frozen.png").stat().st_size > 1000
    assert Run(folder / "seven").config["training"]["warmup"] == 1

    assert main([*argv, "--json"]) == 0  # what was trained and measured is kept
    out, err = capsys.readouterr()
    assert f"done before, see {folder / 'seven'}" in err
    result = json.loads(out)
    assert result["command"].startswith(f"repr-toolkit frozen {recipe} labels seven=pca ")
    assert result["command"].endswith("--seeds 0 --no-control")
    # The layer, its image size and seed are the network's alone.
    network = "squeezenet1_1.features.2_random"
    dims = {source["name"]: source["dim"] for source in result["sources"]}
    assert dims == {"labels": 10, "seven": 7, network: 64}
    made_by = next(s["made_by"] for s in result["sources"] if s["name"] == network)
    assert "random weights of seed 3" in made_by


def test_what_has_no_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frozen", "bottleneck_mnist", "pixels"]) == 1
    assert "bottleneck_mnist5k" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["frozen", "bottleneck_mnist5k"])
    assert "sources" in capsys.readouterr().err
