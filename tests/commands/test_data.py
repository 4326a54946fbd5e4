"""Looking at data before training, and the recipe of one's own folder, from init to Figure 6."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from repr_toolkit.cli import main
from repr_toolkit.config.recipe import load_recipe, variants
from repr_toolkit.config.starter import recipe_name, starter_recipe
from repr_toolkit.data import load_data
from repr_toolkit.data.folder import survey_folder

COLOURS = {"cat": (200, 30, 30), "dog": (30, 30, 200)}


def pictures(folder: Path, count: int = 8, kinds: str = "RGB.jpg L.png CMYK.jpg P.gif") -> Path:
    """Two classes of one colour each, of mixed sizes, modes and formats; dog is a link."""
    draw = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        place = folder.parent / "elsewhere" if name == "dog" else folder / name
        place.mkdir(parents=True)
        for number in range(count):
            mode, suffix = kinds.split()[number % len(kinds.split())].split(".")
            size = tuple(draw.integers(20, 40, 2).tolist())
            Image.new("RGB", size, colour).convert(mode).save(place / f"{number}.{suffix}")
    (folder / "dog").symlink_to(folder.parent / "elsewhere")
    (folder / "notes.txt").write_text("mine")
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What was printed, and the errors, each in one line."""
    out, err = capsys.readouterr()
    return " ".join(out.split()), " ".join(err.split())


def test_a_packaged_data_set_is_shown(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "digits", "--data.levels", "4"]) == 0
    out, _ = said(capsys)
    assert "digits: images of 8×8×1, 4 levels, made of 17." in out
    assert "| all | 1,437 | 180 | 180 | 1,797 |" in out
    assert "| image | uint8 (N, 1, 8, 8) | 0 to 3 |" in out
    assert "| label | int64 (N) | 0 to 9 |" in out
    assert "digits.contact.png" in out
    with Image.open("digits.contact.png") as sheet:
        assert sheet.width >= 600
    assert main(["data", "digits"]) == 1
    assert "digits.contact.png exists; choose another name, or replace it" in said(capsys)[1]
    assert main(["data", "digits", "--out", "other.png"]) == 0
    assert main(["data", "digits", "--overwrite"]) == 0


def test_a_folder_is_shown_as_it_is_and_as_it_can_be(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(user_folder / "pets")
    assert main(["data", "pets"]) == 1
    out, err = said(capsys)
    for text in (
        "pets: files of ",
        " pixels, width × height (16 sizes); modes: 4 × RGB, 4 × L, 4 × CMYK, 4 × P.",
        "notes.txt",
        "A tenth becomes each split without a folder.",
        "| all | 16 | 16 |",
        "| cat | 8 | 8 |",
        "| dog | 8 | 8 |",
    ):
        assert text in out, text
    assert "it cannot be trained on as it is" in err
    assert "data.mode, RGB or grey, converts them" in err
    assert "data.size crops and scales all to one" in err
    with Image.open("pets.contact.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
    for colour in COLOURS.values():  # but for what JPEG changes
        assert min(np.abs(np.subtract(colour, other)).max() for other in colours) < 4
    # One that is cut short, as its header does not say, hides neither the reasons nor the others.
    cut = user_folder / "pets/cat/cut.jpg"
    Image.effect_noise((200, 200), 80).save(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    assert main(["data", "pets", "--overwrite"]) == 1
    out, err = said(capsys)
    assert "it cannot be trained on as it is" in err
    assert "pets.contact.png" in out
    cut.unlink()
    argv = ["data", "pets", "--data.size", "16", "--data.mode", "RGB", "--overwrite"]
    assert main(argv) == 0
    out, err = said(capsys)
    assert "images of 16×16×3, 256 levels." in out
    assert out.count("16 images") + out.count("16 image files") == 0  # the table says how many
    assert "| all | 12 | 2 | 2 | 16 |" in out
    assert "error" not in err


def test_images_of_one_size_have_that_size(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "test"):
        Path("mix", name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (24, 20), number).save(f"mix/{name}/{number}.png")
    assert main(["data", "mix"]) == 0
    out, err = said(capsys)
    assert "mix: files of 24×20 pixels, width × height; modes: 12 × L." in out
    assert "test/ is taken for a class, since there is no train/." in out
    assert "test/ is taken for a class, since there is no train/" in err


def test_embeddings_without_images_are_shown(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("h.npz", embedding=np.eye(40, 5, dtype=np.float32), label=np.arange(40) % 2)
    assert main(["data", "h.npz"]) == 0
    out, _ = said(capsys)
    assert "h.npz: embeddings of 5 numbers, without images." in out
    assert "Embeddings of each class. | Class | train | val | test | together |" in out
    assert "| all | 32 | 4 | 4 | 40 |" in out
    assert "| embedding | float32 (N, 5) | 0 to 1 |" in out
    assert "there are no images, and so no sheet of them" in out
    assert not Path("h.npz.contact.png").exists()


def test_a_sheet_of_many_classes_says_so(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = np.arange(40) // 2 % 20
    split = np.repeat(["train", "val", "test"], [36, 2, 2])
    np.savez("many.npz", image=np.zeros((40, 1, 4, 4), np.uint8), label=label, split=split)
    assert main(["data", "many.npz"]) == 0
    assert "some of the images, of 12 of the 20 classes: many.npz.contact.png" in said(capsys)[0]


def shown_as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def test_data_are_shown_as_json(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # nothing is written that would stand in the way
        assert main(["data", "digits", "--data.levels", "4", "--json"]) == 0
        shown = shown_as_json(capsys)
    assert [*user_folder.iterdir()] == []
    data = load_data("digits")
    assert shown["command"] == "repr-toolkit data digits --data.levels 4 --json"
    assert (shown["name"], shown["fingerprint"]) == ("digits", data.fingerprint)
    assert (shown["image_shape"], shown["levels"], shown["stored_levels"]) == ([1, 8, 8], 4, 17)
    assert {split: of["images"] for split, of in shown["splits"].items()} == {
        "train": 1437,
        "val": 180,
        "test": 180,
    }
    train = data.split("train").column("label")
    classes = {str(k): int((train == k).sum()) for k in range(10)}
    assert shown["splits"]["train"]["classes"] == classes
    assert shown["keys"]["image"] == {"dtype": "uint8", "shape": [1, 8, 8], "min": 0, "max": 3}
    assert shown["keys"]["label"] == {"dtype": "int64", "shape": [], "min": 0, "max": 9}
    assert shown["groups"] == {}
    assert main(["data", "digits", "--json", "--out", "some.png"]) == 0
    assert shown_as_json(capsys)["sheet"] == "some.png"
    assert Path("some.png").exists()


def test_embeddings_and_people_are_shown_as_json(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    h = np.full((6, 5), np.nan, np.float32)
    split = np.array(["train", "train", "train", "val", "test", "test"])
    np.savez("people.npz", embedding=h, identity=np.array([0, 0, 1, 1, 2, 3]), split=split)
    assert main(["data", "people.npz", "--json"]) == 0
    shown = shown_as_json(capsys)
    assert shown["image_shape"] is None
    assert shown["splits"]["test"] == {"embeddings": 2, "classes": None}
    none = {"dtype": "float32", "shape": [5], "min": None, "max": None}
    assert shown["keys"]["embedding"] == none
    counts = {"all": 4, "train": 2, "val": 1, "test": 2, "in_several_splits": 1}
    assert shown["groups"] == {"identity": counts}


def test_a_folder_is_shown_as_json(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(user_folder / "pets")
    assert main(["data", "pets", "--json"]) == 1
    out, err = capsys.readouterr()
    shown = json.loads(out)
    files = shown["files"]
    assert files["modes"] == {"RGB": 4, "L": 4, "CMYK": 4, "P": 4}
    assert sum(size["images"] for size in files["sizes"]) == 16
    assert {*files["sizes"][0]} == {"width", "height", "images"}
    assert files["skipped"] == [{"file": "notes.txt", "reason": ".txt is no image"}]
    assert files["splits"] == {"train": {"images": 16, "classes": {"cat": 8, "dog": 8}}}
    assert "data.size crops and scales all to one" in files["problem"]
    assert "it cannot be trained on as it is" in err
    assert "keys" not in shown
    assert main(["data", "pets", "--data.size", "8", "--data.mode", "RGB", "--json"]) == 0
    shown = shown_as_json(capsys)
    assert (shown["image_shape"], shown["files"]["problem"]) == ([3, 8, 8], None)
    assert [sum(of["classes"].values()) for of in shown["splits"].values()] == [12, 2, 2]


def test_who_is_in_several_splits_is_counted(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.zeros((6, 1, 4, 4), np.uint8)
    split = np.array(["train", "train", "train", "val", "test", "test"])
    np.savez("people.npz", image=image, identity=np.array([0, 0, 1, 1, 2, 3]), split=split)
    assert main(["data", "people.npz"]) == 0
    out, _ = said(capsys)
    assert "4 people (2 train, 1 val, 2 test); 1 of them are in several splits." in out
    assert "they have no classes" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["data", "nothing_here"], "unknown data.source 'nothing_here'"),
        (["data", "digits", "--out", "x.jpg"], "is written as .png"),
        (["data", "digits", "--training.steps", "3"], "is no setting of the data"),
        (["data", "digits", "--data.source", "mnist5k"], "the source is named twice"),
        (["init", "nothing_here"], "there is no folder nothing_here"),
        (["init", "."], "no images"),
        (["init", ".", "--name", "a b"], "such as a_b"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_made(
    user_folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert main(argv) == 1
    assert message in said(capsys)[1]
    assert list(user_folder.iterdir()) == []


def test_a_recipe_is_written_and_trains_as_it_is(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The walk: two commands from a folder to Figure 6 of it, here with small networks."""
    pictures(user_folder / "my pets")
    assert main(["init", "my pets", "--size", "8"]) == 0
    out, _ = said(capsys)
    assert "16 images in my pets" in out
    assert "notes.txt" in out
    assert "Next: repr-toolkit study my_pets.yaml" in out
    config = load_recipe("my_pets.yaml")
    assert config["data"]["mode"] == "RGB"
    assert config["data"]["flips"] is False  # half of the files are not of a camera's kind
    assert config["training"]["weights"] == "best"
    assert [*variants(config)] == [
        *("mse_m10", "mse_m100", "pixelcnn_m10", "pixelcnn_m100"),
        "pixelcnn_no_h",
    ]
    before = Path("my_pets.yaml").read_text("utf-8")
    assert main(["init", "my pets"]) == 1
    assert "my_pets.yaml exists; choose another --name" in said(capsys)[1]
    assert Path("my_pets.yaml").read_text("utf-8") == before
    small = {
        "model.decoder.init_args.layers": 1,
        "model.decoder.init_args.features": 3,
        "model.decoder.init_args.head_features": 3,
        "model.encoder.init_args.features": 2,
        "training.steps": 2,
        "training.validate_every": 1,
        "training.pictures": 0,
    }
    settings = [word for key, value in small.items() for word in (f"--{key}", str(value))]
    assert main(["study", "my_pets.yaml", *settings]) == 0
    with Image.open("runs/my_pets/figure6.png") as figure:
        assert figure.width >= 600
    with Path("runs/my_pets/comparison.csv").open(newline="") as file:
        assert len([*csv.DictReader(file)]) == 5


def survey(counts: dict[str, int], mode: str = "RGB", suffix: str = ".jpg", **labels: Any) -> Any:
    """A folder of so many images in each split, as `starter_recipe` asks about it."""
    headers = [
        SimpleNamespace(path=Path(f"{i}{suffix}"), mode=mode, width=40, height=50, problem="")
        for i in range(sum(counts.values()))
    ]
    layout = SimpleNamespace(
        splits={split: [None] * count for split, count in counts.items()},
        labels={"train": labels["classes"]} if labels else None,
    )
    return SimpleNamespace(headers=headers, layout=layout, obstacle=lambda size, mode: "")


def written(folder: Path, made: Any, size: int = 32) -> dict[str, Any]:
    file = folder / "mine.yaml"
    file.write_text(starter_recipe(made, "mine", "/my/images", "images", size), "utf-8")
    return load_recipe(file)


@pytest.mark.parametrize(
    ("counts", "steps", "batch", "every"),
    [
        ({"train": 60}, 300, 16, 30),
        ({"train": 10}, 300, 8, 30),
        ({"train": 4}, 300, 2, 30),
        ({"train": 6, "val": 2}, 300, 5, 30),
        ({"train": 300}, 1500, 16, 150),
        ({"train": 240, "val": 30, "test": 30}, 1500, 16, 150),
        ({"train": 50_000, "test": 10_000}, 3000, 16, 300),
    ],
)
def test_steps_follow_from_the_number_of_images(
    tmp_path: Path, counts: dict[str, int], steps: int, batch: int, every: int
) -> None:
    config = written(tmp_path, survey(counts))
    training = config["training"]
    assert (training["steps"], training["validate_every"]) == (steps, every)
    assert config["data"]["batch_size"] == batch
    assert training["compile"] == (steps >= 1000)


@pytest.mark.parametrize(
    ("how", "mode", "flips"),
    [
        ({}, "RGB", True),
        ({"suffix": ".png"}, "RGB", False),
        ({"mode": "L"}, "grey", False),
        ({"mode": "I;16", "suffix": ".tif"}, "grey", False),
        ({"classes": ["cat", "dog"]}, "RGB", True),
        ({"classes": ["a", "b"]}, "RGB", False),
        ({"classes": ["0", "10"]}, "RGB", False),
    ],
)
def test_photographs_alone_are_mirrored(
    tmp_path: Path, how: dict[str, Any], mode: str, flips: bool
) -> None:
    data = written(tmp_path, survey({"train": 60}, **how))["data"]
    assert (data["mode"], data["flips"]) == (mode, flips)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_features_are_a_multiple_of_the_channels(tmp_path: Path, mode: str) -> None:
    arguments = written(tmp_path, survey({"train": 60}, mode))["model"]["decoder"]["init_args"]
    assert arguments["features"] % (3 if mode == "RGB" else 1) == 0
    assert arguments["head_features"] % (3 if mode == "RGB" else 1) == 0


def test_a_source_with_odd_characters_is_named_as_it_is(tmp_path: Path) -> None:
    source = "/my/{size} \"quoted\" 'ß': # \\ folder"
    file = tmp_path / "mine.yaml"
    file.write_text(starter_recipe(survey({"train": 9}), "mine", source, "x", 8), "utf-8")
    assert load_recipe(file)["data"]["source"] == source
    assert recipe_name('"quoted" ß') == "quoted_ß"


def test_files_that_cannot_be_brought_to_one_mode_are_named(user_folder: Path) -> None:
    folder = pictures(user_folder / "pets")
    Image.new("F", (30, 30)).save(folder / "cat" / "deep.tif")
    with pytest.raises(ValueError, match=r"cannot be brought to 8 bits: .*deep\.tif"):
        starter_recipe(survey_folder(folder), "pets", "pets", "pets", 32)
