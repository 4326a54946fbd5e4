"""The comparison measures what its columns say, on the same images and noise for every variant."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from repr_toolkit.analyses.comparison import measure as comparison_of_runs
from repr_toolkit.analyses.comparison import probes
from repr_toolkit.analyses.comparison.blocks import caption_of
from repr_toolkit.analyses.comparison.measure import measure
from repr_toolkit.analyses.comparison.rows import csv_rows
from repr_toolkit.analyses.judge import train_judge
from repr_toolkit.analyses.probing.linear import Probe
from repr_toolkit.cli import main
from repr_toolkit.data import load_data
from repr_toolkit.decoders import bits_per_dim
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.runs.bits import bits_given, evaluate
from repr_toolkit.runs.kept import Kept, Result, keep_together, kept_together
from repr_toolkit.runs.run import Run, load
from repr_toolkit.support.files import csv_text
from repr_toolkit.support.stats import Number, as_json, share
from repr_toolkit.support.tables import number_text
from toys.decoders import DECONV
from toys.encoders import ONE_HOT
from toys.runs import change_facts, untrained_run

FIGURES = ("figure3.png", "figure6.png", "samples.png")
NAMES = ("comparison.json", "comparison.csv", "comparison.md", *FIGURES)
SMALL = {"reconstructed": 6, "draws": 3, "rows": 4, "columns": 2}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Run]]:
    """A compared study of five variants that were not trained."""
    folder = tmp_path_factory.mktemp("study")
    variants = {
        "mse_m3": {"decoder": DECONV},
        "pixelcnn_m3": {},
        "classes": {"encoder": ONE_HOT},
        "plain": {"encoder": None},
    }
    runs = {name: untrained_run(folder / name, **model) for name, model in variants.items()}
    write(folder, measure(runs, **SMALL))
    return folder, runs


def write(folder: Path, result: Result) -> None:
    for name, content in result.arrays().items():
        (folder / name).write_bytes(content.tobytes())


def lines(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "comparison.csv").open(encoding="utf-8", newline="") as file:
        return {line["variant"]: line for line in csv.DictReader(file)}


def test_bits_are_those_of_evaluate(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    found = lines(folder)
    assert list(found) == list(runs)
    for name, run in runs.items():
        expected = evaluate(run)
        columns = ("bits_per_dim", "bits_per_dim_other_h", "difference")
        for column in columns:
            if column not in expected:
                assert name == "plain"
                assert found[name][column] == ""
                continue
            estimate = expected[column]
            assert float(found[name][column]) == pytest.approx(estimate["value"], abs=1e-9)
            error = float(found[name][f"{column}_standard_error"])
            assert error == pytest.approx(estimate["error"], abs=1e-9)
        assert found[name]["images"] == str(expected["images"])
        assert found[name]["likelihood"] == "exact"
        assert (found[name]["training_steps"], found[name]["training_seconds"]) == ("7", "2.5")


def test_bits_of_own_draws(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    found = lines(folder)
    split = load_data("digits").splits["test"]
    batch = split[[index * len(split) // 6 for index in range(6)]]
    for name, run in runs.items():
        model = load(run)
        if name == "mse_m3":  # reconstructs by its mean
            assert found[name]["bits_per_dim_draws"] == ""
            continue
        h = None if model.encoder is None else model.encode(batch).detach()
        noise = common_noise(model.decoder, 6, seed=1)
        drawn = model.decoder.sample(h, 6 if h is None else None, noise=noise)
        with torch.no_grad():
            bits = bits_per_dim(model.decoder.log_prob(drawn, h), (1, 8, 8)).double()
        line = found[name]
        assert float(line["bits_per_dim_draws"]) == pytest.approx(float(bits.mean()), rel=1e-5)
        error = float(line["bits_per_dim_draws_standard_error"])
        assert error == pytest.approx(float(bits.std()) / np.sqrt(6), rel=1e-4)
        with torch.no_grad():  # of the same images, so that the difference is paired
            less = bits - bits_per_dim(model.decoder.log_prob(batch["image"], h), (1, 8, 8))
        assert float(line["draws_minus_images"]) == pytest.approx(float(less.mean()), rel=1e-4)
        error = float(line["draws_minus_images_standard_error"])
        assert error == pytest.approx(float(less.std()) / np.sqrt(6), rel=1e-4)
    assert "of its own draws" in (folder / "comparison.md").read_text("utf-8")


def test_means_have_stronger_likelihoods_than_that_of_one_sigma(
    study: tuple[Path, dict[str, Run]],
) -> None:
    folder, runs = study
    found = lines(folder)
    model, data = load(runs["mse_m3"]), load_data("digits")
    pairs = [
        (b["image"], model.encode(b)) for b in (data.splits["train"][:], data.splits["test"][:])
    ]
    for key, fit in model.decoder.refitted(pairs[:1]).items():
        with torch.no_grad():
            bits = bits_per_dim(fit.log_prob(*pairs[1]), (1, 8, 8)).mean()
        assert float(found["mse_m3"][key]) == pytest.approx(float(bits), rel=1e-5)
        assert all(found[name][key] == "" for name in ("pixelcnn_m3", "classes", "plain"))
    table = (folder / "comparison.md").read_text("utf-8")
    assert "bits/dim, σ by position" in table
    assert "the weakest likelihood" in " ".join(table.split())


def test_reconstruction_errors(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    found = lines(folder)
    split = load_data("digits").splits["test"]
    chosen = [index * len(split) // 6 for index in range(6)]
    batch = split[chosen]
    images = batch["image"].double() / 16

    model = load(runs["mse_m3"])
    drawn = model.decoder.sample(model.encode(batch).detach(), temperature=0)
    error = (drawn.double() / 16 - images).square().mean((1, 2, 3))
    for column in ("mse_one", "mse_posterior_mean"):
        assert float(found["mse_m3"][column]) == pytest.approx(float(error.mean()), rel=1e-9)
    coarse = F.adaptive_avg_pool2d(drawn.double() / 16 - images, 4).square().mean()
    assert float(found["mse_m3"]["mse_layout"]) == pytest.approx(float(coarse), rel=1e-9)
    expected = float(error.std()) / np.sqrt(6)
    assert float(found["mse_m3"]["mse_one_standard_error"]) == pytest.approx(expected, rel=1e-9)

    model = load(runs["pixelcnn_m3"])
    noise = common_noise(model.decoder, 18, seed=1)
    drawn = model.decoder.sample(model.encode(batch).detach(), n=3, noise=noise)
    drawn = drawn.double().unflatten(0, (6, 3)) / 16
    one = (drawn - images[:, None]).square().mean()
    # The error of the mean less the variance of the mean of three.
    of_mean = (drawn.mean(1) - images).square().mean() - drawn.var(1).mean() / 3
    line = found["pixelcnn_m3"]
    assert float(line["mse_one"]) == pytest.approx(float(one), rel=1e-9)
    assert float(line["mse_posterior_mean"]) == pytest.approx(float(of_mean), rel=1e-9)
    coarse = F.adaptive_avg_pool2d(drawn.flatten(0, 1), 4).unflatten(0, (6, 3))
    layout = (coarse.mean(1) - F.adaptive_avg_pool2d(images, 4)).square().mean()
    layout = layout - coarse.var(1).mean() / 3
    assert float(line["mse_layout"]) == pytest.approx(float(layout), rel=1e-9)
    assert of_mean < one
    assert found["plain"]["mse_one"] == ""


def test_probes(study: tuple[Path, dict[str, Run]]) -> None:
    found = lines(study[0])
    for name in ("mse_m3", "pixelcnn_m3"):
        line = found[name]
        assert float(line["probe_low"]) < float(line["probe"]) < float(line["probe_high"])
        assert float(line["probe_untrained"]) > 0.15  # ten classes from three random projections
        assert float(line["probe_pixels"]) > 0.9
    assert found["mse_m3"]["probe_untrained"] == found["pixelcnn_m3"]["probe_untrained"]
    for name in ("classes", "plain"):  # h is the label itself; there is no h
        assert found[name]["probe"] == found[name]["probe_untrained"] == ""
    minus = float(found["pixelcnn_m3"]["probe_minus_first"])
    assert minus == pytest.approx(
        float(found["pixelcnn_m3"]["probe"]) - float(found["mse_m3"]["probe"])
    )
    assert found["mse_m3"]["probe_minus_first"] == ""
    for name in ("mse_m3", "pixelcnn_m3"):
        line = found[name]
        minus = float(line["probe_minus_pixels"])
        assert minus == pytest.approx(float(line["probe"]) - float(line["probe_pixels"]))
        assert float(line["probe_minus_pixels_high"]) < 0
    stored = json.loads((study[0] / "comparison.json").read_text())
    assert stored["variants"]["mse_m3"]["numbers"]["probe_minus_pixels"]["p"] < 0.001


def test_training_bits_calibration_and_dimensions_stand_beside(
    study: tuple[Path, dict[str, Run]],
) -> None:
    found, text = lines(study[0]), (study[0] / "comparison.md").read_text()
    data = load_data("digits")
    model = load(study[1]["pixelcnn_m3"])
    chosen = [index * 1437 // 180 for index in range(180)]
    train = data.splits["train"]
    h = model.encode(train[chosen]).detach()
    bits = bits_given(model, train, [h], indices=chosen)[0]
    line = found["pixelcnn_m3"]
    assert float(line["bits_per_dim_train"]) == pytest.approx(bits.mean(), rel=1e-5)
    assert 1 <= float(line["effective_dimension"]) <= 3
    assert float(line["softmax_calibration_error"]) >= abs(float(line["softmax_too_sure"]))
    assert found["mse_m3"]["softmax_too_sure"] == ""  # no softmax
    assert found["plain"]["effective_dimension"] == ""
    for row in ("of training images", "softmax too sure", "training runs", "minus the first probe"):
        assert row in text
    words = " ".join(text.split())
    assert "Every column is one training run" in words
    assert "Wilson's over 180 images" in words


def test_a_judge_reads_the_labels_of_reconstructions(
    study: tuple[Path, dict[str, Run]],
) -> None:
    folder, runs = study
    found, stored = lines(folder), json.loads((folder / "comparison.json").read_text())
    data = load_data("digits")
    judge, facts = train_judge(data, "label")
    assert stored["judge"] == as_json(facts)
    chosen = [index * 180 // 6 for index in range(6)]
    batch, model = data.splits["test"][chosen], load(runs["pixelcnn_m3"])
    noise = common_noise(model.decoder, 18, seed=1)
    drawn = model.decoder.sample(model.encode(batch).detach(), n=3, noise=noise)
    hits = judge.classify(drawn).reshape(6, 3) == batch["label"].numpy()[:, None]
    expected = share(hits.mean(1), each=3)
    line = found["pixelcnn_m3"]
    for end in ("", "_low", "_high"):
        value = getattr(expected, end[1:] or "value")
        assert float(line[f"judged{end}"]) == pytest.approx(value)
        accuracy = getattr(facts["accuracy"], end[1:] or "value")
        for name in ("mse_m3", "pixelcnn_m3"):
            assert float(found[name][f"judged_real{end}"]) == pytest.approx(accuracy)
    assert facts["accuracy"].value > 0.95
    assert found["classes"]["judged"] == found["plain"]["judged"] == ""
    [note] = [note for note in stored["notes"] if note.startswith("label in samples")]
    assert f"trained on {facts['train_images']:,} real" in note
    table = (folder / "comparison.md").read_text()
    assert "label in samples, %" in table
    assert "label in images, %" in table


def test_what_has_its_label_is_read(
    study: tuple[Path, dict[str, Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reconstructions that are the originals are read as well as these."""
    data = load_data("digits")
    batch = data.splits["test"][[index * 180 // 6 for index in range(6)]]
    originals = batch["image"][:, None]
    monkeypatch.setattr(
        comparison_of_runs, "decode", lambda decoder, h, *given, **how: originals[: len(h)]
    )
    numbers = measure({"mse_m3": study[1]["mse_m3"]}, **SMALL).numbers["variants"]["mse_m3"]
    right = train_judge(data, "label")[0].classify(batch["image"]) == batch["label"].numpy()
    assert numbers["numbers"]["judged"]["value"] == pytest.approx(right.mean())
    assert right.mean() > 0.8


def test_data_without_labels_are_not_judged(
    study: tuple[Path, dict[str, Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_of_runs, "obstacle", lambda *given: "there are no labels")
    result = measure({"mse_m3": study[1]["mse_m3"]}, **SMALL).numbers
    assert result["judge"] == {}
    assert "judged" not in result["variants"]["mse_m3"]["numbers"]
    assert not any(note.startswith("label in samples") for note in result["notes"])


def test_a_figure_says_which_images_it_shows(study: tuple[Path, dict[str, Run]]) -> None:
    numbers = json.loads((study[0] / "comparison.json").read_text())
    for probed, images in (({"test": 9}, "the first of each class"), ({}, "spread evenly over")):
        assert f"The images are {images}" in caption_of("figure6.png", {"probed": probed})
    assert any("The images are the first of each class, " in note for note in numbers["notes"])


def test_probes_with_penalties_at_an_end_are_told(
    study: tuple[Path, dict[str, Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(strength: float) -> list[str]:
        probe = Probe(share(np.arange(9) < 5), strength, np.arange(9) < 5)
        monkeypatch.setattr(probes, "linear_probe", lambda *sets: probe)
        notes = measure({"mse_m3": study[1]["mse_m3"]}, **SMALL).numbers["notes"]
        return [note for note in notes if note.startswith("At an end of what was tried")]

    assert told(1.0) == []
    [note] = told(1e4)
    assert note.partition(": ")[2] == (
        "the probe of mse_m3, untrained (C = 10000); the probe of mse_m3 (C = 10000); the probe of "
        "pixels (C = 10000)."
    )


def test_parameters_are_counted(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    for name, line in lines(folder).items():
        model = load(runs[name])
        assert int(line["decoder_parameters"]) == sum(p.numel() for p in model.decoder.parameters())
    assert lines(folder)["plain"]["encoder_parameters"] == "0"
    assert int(lines(folder)["mse_m3"]["encoder_parameters"]) > 0


def test_markdown_says_what_its_numbers_mean(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    text = (folder / "comparison.md").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for part in (
        *runs,
        "conditional on h(x), whose own cost is not counted",
        "17 levels",
        "on 6 images",
        "posterior mean: of the mean of p(x|h), estimated from the draws without bias, (3·M",
        "Seeds: training 0, comparison 0",
        f"repr-toolkit evaluate {runs['mse_m3'].path} --split test",
    ):
        assert part in flat
    bits = evaluate(runs["mse_m3"])["bits_per_dim"]
    assert number_text(Number(**bits)) in text


def test_figure_is_a_picture(study: tuple[Path, dict[str, Run]]) -> None:
    with Image.open(study[0] / "figure6.png") as picture:
        assert picture.format == "PNG"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_second_comparison_is_the_same(study: tuple[Path, dict[str, Run]]) -> None:
    folder, runs = study
    torch.manual_seed(77)
    again = measure(runs, **SMALL).arrays()
    assert sorted(again) == sorted(NAMES)
    for name, content in again.items():
        assert (folder / name).read_bytes() == content.tobytes()


def test_a_sigma_at_an_end_of_its_range_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = untrained_run(tmp_path / "mse_m3", decoder=DECONV)
    model, told = load(run), "σ = 272 is an end of the range in which it is sought"
    for sigma, said in ((3.0, False), (272.0, True)):
        model.decoder.sigma.fill_(sigma)
        run.save_model(model, run.info)
        runs = {"mse_m3": Run(run.path)}
        text = " ".join(measure(runs, **SMALL).arrays()["comparison.md"].tobytes().decode().split())
        assert (f"mse_m3: {told}" in text) is said
        capsys.readouterr()
        assert main(["evaluate", str(run.path)]) == 0
        assert (told in capsys.readouterr().out) is said


def test_a_comparison_is_of_its_runs_as_they_are(tmp_path: Path) -> None:
    runs = {name: untrained_run(tmp_path / name, encoder=None) for name in ("one", "other")}
    assert kept_together(tmp_path, "comparison", runs, split="test") is None
    kept = keep_together(tmp_path, "comparison", runs, measure(runs))

    def found(names: str, split: str = "test") -> Kept | None:
        anew = {name: Run(tmp_path / name) for name in names.split()}
        return kept_together(tmp_path, "comparison", anew, split=split)

    again = found("one other")
    assert again is not None
    assert (again.file, again.numbers) == (kept.file, kept.numbers)
    assert found("one other", "val") is None
    assert found("one") is None
    assert found("other one") is None  # compared to another first
    for run in runs.values():  # a copied or a touched run is still the same
        run.weights_file.touch()
    assert found("one other") is not None
    model = load(runs["other"])
    next(model.parameters()).data += 1
    runs["other"].save_model(model, runs["other"].info)
    assert found("one other") is None


def test_what_cannot_be_compared(study: tuple[Path, dict[str, Run]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no runs"):
        measure({})
    with pytest.raises(FileNotFoundError, match="missing"):
        measure({"missing": Run(tmp_path / "missing")})
    with pytest.raises(ValueError, match="no split 'valid'"):
        measure(study[1], "valid")


def test_runs_on_other_images_are_refused(
    study: tuple[Path, dict[str, Run]], tmp_path: Path
) -> None:
    other = untrained_run(tmp_path / "other")
    change_facts(other, levels=16)
    with pytest.raises(ValueError, match="other was trained on other images"):
        measure({**study[1], "other": other})


# The result


def test_json_holds_the_comparison(study: tuple[Path, dict[str, Run]]) -> None:
    stored = json.loads((study[0] / "comparison.json").read_text())
    assert [*stored["variants"]] == [*study[1]]
    assert sorted(stored["figures"]) == [*FIGURES]
    assert csv_text(csv_rows(stored)) == (study[0] / "comparison.csv").read_text()
