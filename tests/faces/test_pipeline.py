"""A folder of photographs becomes a data file: whole, by person, resumable, nothing passed over."""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repr_toolkit.data import load_data
from repr_toolkit.faces import Detector, FaceJob, embed_photograph, pipeline
from repr_toolkit.representations import represent
from repr_toolkit.training.train import train
from toys.faces import QuickDetector, QuickNet, astronaut, cat, people, two_faces
from toys.runs import small


def make(folder: Path, out: Path, **how: Any) -> Any:
    """The report of a job with stand-ins for the networks."""
    run = {key: how.pop(key) for key in ("resume", "progress") if key in how}
    detector, facenet = how.pop("detector", QuickDetector()), how.pop("facenet", QuickNet())
    return FaceJob(folder, out, **how).run(detector, facenet, **run)


def arrays(out: Path) -> dict[str, Any]:
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


# The data file


def test_keys_and_types(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    report = make(folder, out, batch_size=3)
    assert (report.faces, report.people, report.several, report.skipped) == (20, 4, 0, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.npz", "photographs"]
    made = arrays(out)
    assert {key: (a.dtype.str, a.shape) for key, a in made.items()} == {
        "image": ("|u1", (20, 3, 32, 32)),
        "identity": ("<U8", (20,)),
        "photo": ("<U14", (20,)),
        "embedding": ("<f4", (20, 512)),
        "landmarks": ("<f4", (20, 5, 2)),
        "face_box": ("<f4", (20, 4)),
        "face_probability": ("<f4", (20,)),
        "face_turned": ("<i8", (20,)),
        "encoder": ("<U20", ()),
    }
    assert made["photo"].tolist() == sorted(
        f"person_{p}/{n}.png" for p in range(4) for n in range(5)
    )
    assert made["identity"].tolist() == [photo.split("/")[0] for photo in made["photo"]]
    assert made["encoder"] == "FaceNet 0123456789ab"
    np.testing.assert_allclose(np.linalg.norm(made["embedding"], axis=1), 1, rtol=1e-5)
    assert 0 < made["landmarks"].min() < made["landmarks"].max() < 32


def test_each_row_is_of_its_photograph(tmp_path: Path) -> None:
    """Embedded alone, one after the other, the photographs give the same rows."""
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    make(folder, out, batch_size=7, image_size=48)
    made = arrays(out)
    assert made["image"].shape == (20, 3, 48, 48)
    for index, photo in enumerate(made["photo"]):
        alone = embed_photograph(folder / photo, QuickDetector(), QuickNet())
        np.testing.assert_allclose(made["embedding"][index], alone.embedding, atol=1e-6)


def test_it_is_loaded_as_data_split_by_person(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs", 8), tmp_path / "faces.npz"
    make(folder, out)
    for _ in range(2):  # read, and from the cache
        data = load_data(str(out))
        assert data.encoder == "FaceNet 0123456789ab"
        assert data.quantised(8).encoder == data.encoder
        assert data.names["identity"] == tuple(f"person_{number}" for number in range(8))
        found = {"face_box", "face_probability", "face_turned"}
        whose = {"image", "identity", "embedding", "landmarks"}
        assert set(data.splits["train"].keys) == whose | found
        persons = [set(split.column("identity").tolist()) for split in data.splits.values()]
        assert sum(map(len, persons)) == len(set.union(*persons)) == 8


def test_one_person_alone_is_split_by_photograph(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs", 1, 20), tmp_path / "faces.npz"
    make(folder, out, allow_one_identity=True)
    data = load_data(str(out))
    assert [len(split) for split in data.splits.values()] == [16, 2, 2]
    # Directly in the folder they are the person that the folder is named after.
    make(folder / "person_0", tmp_path / "own.npz", allow_one_identity=True)
    assert set(arrays(tmp_path / "own.npz")["identity"]) == {"person_0"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_photographs_of_one_person_are_kept(tmp_path: Path, count: int) -> None:
    folder, out = people(tmp_path / "photographs", 1, count), tmp_path / "faces.npz"
    make(folder, out, allow_one_identity=True)
    made = arrays(out)
    assert len(made["image"]) == count
    assert ("split" in made) == (count == 3)
    assert not (tmp_path / "faces.parts").exists()


def test_people_are_told_apart_by_their_whole_path(tmp_path: Path) -> None:
    for name in ("london/ann", "paris/ann", "paris"):
        people(tmp_path / "photographs" / name, 1, 1)
    make(tmp_path / "photographs", tmp_path / "faces.npz")
    assert arrays(tmp_path / "faces.npz")["identity"].tolist() == [
        "london/ann/person_0",
        "paris/ann/person_0",
        "paris/person_0",
    ]


def test_folders_may_be_splits_of_people(tmp_path: Path) -> None:
    for split in ("Train", "dev", "Test"):
        people(tmp_path / "outer/photographs" / split, 2, 2)
    (tmp_path / "outer/photographs/Train/person_0/notes.txt").touch()
    (tmp_path / "elsewhere").symlink_to(people(tmp_path / "friends", 1, 2) / "person_0")
    (tmp_path / "outer/photographs/Test/ann").symlink_to(tmp_path / "elsewhere")
    report = make(tmp_path / "outer", tmp_path / "faces.npz")
    assert (report.faces, report.people) == (14, 3)
    made = arrays(tmp_path / "faces.npz")
    assert made["photo"][0] == "photographs/Test/ann/0.png"
    assert made["identity"].tolist()[:4] == ["ann", "ann", "person_0", "person_0"]
    assert made["split"].tolist() == ["test"] * 6 + ["train"] * 4 + ["val"] * 4
    assert [len(split) for split in load_data(str(tmp_path / "faces.npz")).splits.values()] == [
        4,
        4,
        6,
    ]


def test_large_photographs_are_not_all_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = people(tmp_path / "photographs")
    make(folder, tmp_path / "at_once.npz")
    together: list[int] = []

    class Counting(QuickDetector):
        def detect(self, photographs: list[Image.Image]) -> Any:
            together.append(len(photographs))
            return super().detect(photographs)

    monkeypatch.setattr(pipeline, "PIXELS", 3 * 60 * 64)
    make(folder, tmp_path / "faces.npz", detector=Counting())
    assert together == [3, 3, 3, 3, 3, 3, 2]
    assert (tmp_path / "faces.npz").read_bytes() == (tmp_path / "at_once.npz").read_bytes()


# What is skipped


def test_what_is_skipped_is_told(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    Image.new("RGB", (64, 60)).save(folder / "person_1/black.png")
    (folder / "person_0/cut, short.png").write_bytes(b"\x89PNG")
    (folder / "person_3/notes.txt").touch()
    with Image.open(folder / "person_2/0.png") as image:
        image.crop((0, 0, 63, 60)).save(folder / "person_2/two.png")
    report = make(folder, out, batch_size=4)
    reasons = [
        ("person_0/cut, short.png", "unreadable: damaged or cut short"),
        ("person_1/black.png", "no face"),
    ]
    others = [("person_3/notes.txt", ".txt is no image")]
    assert (report.skipped, report.others) == (reasons, others)
    assert (report.faces, report.several) == (21, 1)
    with (tmp_path / "faces.skipped.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "reason"], *map(list, [*reasons, *others])]
    report = make(folder, out, several="skip", overwrite=True)
    assert report.skipped == [*reasons, ("person_2/two.png", "several faces")]
    assert (report.faces, report.several) == (20, 0)
    # A list of what an earlier job skipped does not stay.
    (folder / "person_0/cut, short.png").unlink()
    (folder / "person_1/black.png").unlink()
    (folder / "person_3/notes.txt").unlink()
    make(folder, out, overwrite=True)
    assert not (tmp_path / "faces.skipped.csv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    odd = os.fsdecode(b"caf\xe9.png")
    (folder / "person_0/0.png").rename(folder / "person_0" / odd)
    (folder / "person_1" / odd).touch()
    report = make(folder, out)
    assert f"person_0/{odd}" in arrays(out)["photo"]
    assert [photo for photo, _ in report.skipped] == [f"person_1/{odd}"]
    assert b"person_1/caf\xe9.png," in (tmp_path / "faces.skipped.csv").read_bytes()


def test_a_batch_without_faces(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    for number in range(5):
        Image.new("RGB", (64, 60)).save(folder / f"person_1/{number}.png")
    report = make(folder, out, batch_size=5)
    assert (report.faces, report.people, len(report.skipped)) == (15, 3, 5)
    assert len(arrays(out)["image"]) == 15


def test_no_face_at_all(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    for path in folder.rglob("*.png"):
        Image.new("RGB", (64, 60)).save(path)
    with pytest.raises(
        ValueError, match=r"none of the 20 photographs.*faces\.skipped\.csv says why"
    ):
        make(folder, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.skipped.csv", "photographs"]


def test_the_real_detector_names_every_failure(tmp_path: Path) -> None:
    folder, out = tmp_path / "photographs", tmp_path / "faces.npz"
    for person in ("ann", "bob"):
        (folder / person).mkdir(parents=True)
        astronaut().save(folder / person / "1.png")
    cat().save(folder / "ann/cat.jpg")
    Image.new("RGB", (3, 3)).save(folder / "ann/tiny.png")
    two_faces().save(folder / "ann/two.png")
    astronaut().convert("CMYK").save(folder / "bob/cmyk.jpg")
    Image.fromarray(np.zeros((90, 90), np.uint16)).save(folder / "bob/deep.png")
    astronaut().save(folder / "bob/moves.gif", save_all=True, append_images=[cat()])
    skipped = [
        ("ann/cat.jpg", "no face found"),
        ("ann/tiny.png", "smaller than the smallest face looked for, 60 pixels"),
        ("bob/deep.png", "more than 8 bits a channel"),
        ("bob/moves.gif", "animated, or several pages"),
    ]
    report = make(folder, out, detector=Detector())
    assert arrays(out)["photo"].tolist() == [
        "ann/1.png",
        "ann/two.png",
        "bob/1.png",
        "bob/cmyk.jpg",
    ]
    assert (report.skipped, report.several) == (skipped, 1)
    report = make(folder, out, detector=Detector(), several="skip", overwrite=True)
    assert report.skipped == sorted([*skipped, ("ann/two.png", "several faces")])


# Errors before the work


def test_errors_before_the_work(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        FaceJob(tmp_path / "nowhere", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images"):
        FaceJob(tmp_path / "empty", out)
    with pytest.raises(ValueError, match=r"\.npz file, not to .*faces\.zip"):
        FaceJob(folder, tmp_path / "faces.zip")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        FaceJob(folder, tmp_path / "elsewhere/faces.npz")
    out.touch()
    with pytest.raises(FileExistsError, match="overwrite"):
        FaceJob(folder, out)
    FaceJob(folder, out, overwrite=True)
    with pytest.raises(
        ValueError, match=r"one identity only, 'person_0'.*\(allow_one_identity=True\)"
    ):
        FaceJob(people(tmp_path / "one", 1), tmp_path / "one.npz")
    astronaut().save(folder / "loose.png")
    with pytest.raises(ValueError, match=r"loose\.png lies beside the folders of classes"):
        FaceJob(folder, out, overwrite=True)
    for how in ({"image_size": 0}, {"batch_size": 0}, {"image_margin": -1.0}, {"several": "all"}):
        with pytest.raises(ValueError, match=next(iter(how))):
            FaceJob(folder, out, **how)
    assert not list(tmp_path.glob("*.parts"))


# Cut short, and gone on with


class Interrupted(QuickDetector):
    def detect(self, photographs: list[Image.Image]) -> Any:
        if self.seen >= 8:
            raise KeyboardInterrupt
        return super().detect(photographs)


def test_a_job_that_was_cut_is_gone_on_with_to_the_same_file(tmp_path: Path) -> None:
    folder = people(tmp_path / "photographs")
    Image.new("RGB", (64, 60)).save(folder / "person_0/black.png")
    make(folder, tmp_path / "whole.npz", batch_size=4)
    out = tmp_path / "faces.npz"
    with pytest.raises(KeyboardInterrupt):
        make(folder, out, batch_size=4, detector=Interrupted())
    assert not out.exists()
    with pytest.raises(FileExistsError, match="resume=True"):
        make(folder, out, batch_size=4)
    # One part damaged by the fall is made again.
    (tmp_path / "faces.parts/part_000000.npz").write_bytes(b"PK")
    detector = QuickDetector()
    report = make(folder, out, batch_size=4, resume=True, detector=detector)
    assert 4 <= detector.seen <= 21 - 4
    assert report.skipped == [("person_0/black.png", "no face")]
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    names = ["faces.npz", "faces.skipped.csv", "photographs", "whole.npz", "whole.skipped.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_parts_of_another_job_are_not_taken(tmp_path: Path) -> None:
    folder, out = people(tmp_path / "photographs"), tmp_path / "faces.npz"
    with pytest.raises(KeyboardInterrupt):
        make(folder, out, batch_size=4, detector=Interrupted())
    other = QuickNet("FaceNet other")
    with pytest.raises(ValueError, match="encoder: 'FaceNet 0123456789ab' there, 'FaceNet other'"):
        make(folder, out, batch_size=4, facenet=other, resume=True)
    with pytest.raises(ValueError, match="image_size: 32 there, 48 now"):
        make(folder, out, batch_size=4, image_size=48, resume=True)
    with Image.open(folder / "person_3/4.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "person_3/4.png")
    with pytest.raises(ValueError, match="photographs: "):
        make(folder, out, batch_size=4, resume=True)
    assert not out.exists()


def test_nothing_is_left_of_a_job_that_ends_before_its_first_part(tmp_path: Path) -> None:
    class Broken(QuickDetector):
        def detect(self, photographs: list[Image.Image]) -> Any:
            raise RuntimeError("out of memory")

    folder = people(tmp_path / "photographs")
    with pytest.raises(RuntimeError, match="out of memory"):
        make(folder, tmp_path / "faces.npz", detector=Broken())
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]


# One photograph


def test_one_photograph(tmp_path: Path) -> None:
    two_faces().save(tmp_path / "two.png")
    embedded = embed_photograph(tmp_path / "two.png", Detector(), QuickNet())
    assert (embedded.embedding.shape, embedded.embedding.dtype) == ((512,), torch.float32)
    assert (embedded.face.shape, embedded.face.dtype) == ((3, 160, 160), torch.uint8)
    assert embedded.faces_found == 2
    torch.testing.assert_close(QuickNet()(embedded.face[None])[0], embedded.embedding)


def test_one_photograph_that_cannot_be_used(tmp_path: Path) -> None:
    def fails(name: str, reason: str, **how: Any) -> None:
        with pytest.raises(ValueError, match=f"{name}: .*{reason}"):
            embed_photograph(tmp_path / name, Detector(), QuickNet(), **how)

    cat().save(tmp_path / "cat.png")
    fails("cat.png", "no face found")
    Image.new("RGB", (3, 3)).save(tmp_path / "tiny.png")
    fails("tiny.png", "smaller than")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    fails("cut.jpg", "damaged")
    two_faces().save(tmp_path / "two.png")
    fails("two.png", "2 faces", several="skip")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        embed_photograph(tmp_path / "nowhere.png", Detector(), QuickNet())


# Training on the embeddings


def made_by(name: str | None, source: Path) -> dict[str, Any]:
    config = small(training__steps=1, training__validate_every=1, data__source=str(source))
    config["model"]["encoder"] = {
        "class_path": "repr_toolkit.encoders.Precomputed",
        "init_args": {"h_dim": 512, "made_by": name},
    }
    return config


def test_a_run_for_another_encoders_embeddings_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "faces.npz"
    make(people(tmp_path / "photographs"), source, image_size=8)
    named = r"'FaceNet other' \(made_by\).*faces\.npz were made by 'FaceNet 0123456789ab'; state"
    with pytest.raises(ValueError, match=named):
        train(made_by("FaceNet other", source), tmp_path / "runs/other")
    assert not (tmp_path / "runs").exists()
    for name in ("FaceNet 0123456789ab", None):
        assert train(made_by(name, source), tmp_path / f"runs/{name}").finished
    made = arrays(source)
    np.savez(tmp_path / "unnamed.npz", **{k: v for k, v in made.items() if k != "encoder"})
    run = train(made_by("FaceNet other", tmp_path / "unnamed.npz"), tmp_path / "runs/unnamed")
    assert run.finished
    # A run that is trained states nothing else.
    with pytest.raises(ValueError, match=r"were made by 'FaceNet 0123456789ab'$"):
        represent(str(run.path), load_data(str(source), levels=run.info["levels"]))
