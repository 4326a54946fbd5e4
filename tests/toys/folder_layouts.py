"""Cases of layouts, links, system files and runs in folders (see toys.folders)."""

import os

from toys.folders import (
    AGAIN,
    BACK,
    NO,
    OURS,
    PETS,
    RUNS,
    TAKEN,
    TWICE,
    Case,
    both,
    split,
    three,
)

LAYOUTS = [
    Case("flat", three(""), {"train": 3}),
    Case("classes", PETS, TAKEN, said=["6 images of 2 classes"]),
    Case("folders in classes", [*three("cat/2019/may"), *three("dog/a")], TAKEN),
    Case("splits of classes", split("train", "val", "test"), both("train", "val", "test")),
    Case("splits in capitals", split("Train", "Test"), both("train", "test")),
    Case("splits in upper case", split("TRAIN", "VAL", "TEST"), both("train", "val", "test")),
    Case("mnist_png", split("training", "testing"), both("train", "test")),
    Case("Keras", split("Training", "Validation"), both("train", "val")),
    Case("fastai", split("train", "valid"), both("train", "val")),
    Case("speech's dev", split("train", "dev", "test"), both("train", "val", "test")),
    Case("splits alone", [*three("train"), *three("test")], {"train": 3, "test": 3}),
    Case("train alone", split("train"), both("train")),
    Case(
        "a test without train",
        [*three("images"), *three("test")],
        {"train/images": 3, "train/test": 3},
        said=["test/ is taken for a class, since there is no train/"],
    ),
    Case(
        "val and test without train",
        [*three("images"), *three("Val"), *three("test")],
        {"train/images": 3, "train/test": 3, "train/Val": 3},
        said=["Val/ and test/ are taken for classes, since there is no train/"],
    ),
    Case(
        "classes are numbers",
        [line for n in ("0", "1", "10") for line in three(f"train/{n}")],
        {"train/0": 3, "train/1": 3, "train/10": 3},
    ),
    Case("an outer folder", [*three("pets/cat"), *three("pets/dog")], TAKEN, said=["/pets)"]),
    Case(
        "an outer folder of splits", split("archive/train", "archive/test"), both("train", "test")
    ),
    Case("outer folders", split("archive/pets/Train", "archive/pets/dev"), both("train", "val")),
    Case("one class", three("cat"), {"train/cat": 3}),
    Case("one class of folders", three("cat/2019"), {"train/cat": 3}),
    Case(
        "an archive of a Mac",
        [*three("pets/cat"), *three("pets/dog"), "__MACOSX/pets/cat/._0.png = junk"],
        TAKEN,
        {"__MACOSX": OURS},
    ),
    Case(
        "an outer folder with a README",
        [*split("data/train"), "README.md", "LICENSE"],
        both("train"),
        {"README.md": ".md is no image", "LICENSE": "no suffix"},
    ),
    Case(
        "YOLO",
        [*three("images/train"), *three("images/val"), *three("labels/train", ".txt")],
        {"train": 3, "val": 3},
        {f"labels/train/{i}.txt": NO for i in range(3)},
        said=["/images)"],
    ),
    Case(
        "ImageNet",
        [*three("train/n01440764", ".JPEG"), *three("val/n01440764", ".JPEG")],
        {"train/n01440764": 3, "val/n01440764": 3},
    ),
    Case("CelebA", three("img_align_celeba", ".jpg"), {"train/img_align_celeba": 3}),
    Case("an empty class", [*PETS, "fish/"], TAKEN, {"fish": "an empty folder"}),
    Case(
        "an empty split is cut from train",
        [*split("train", "test"), "val/"],
        both("train", "test"),
        {"val": "an empty folder"},
        said=["5 train, 1 val, 6 test"],
    ),
    Case(
        "a picture beside the splits",
        [*split("train"), "cover.png = large"],
        both("train"),
        {"cover.png": "beside the folders of splits"},
    ),
    Case(
        "a table beside the splits",
        [*split("train"), "labels.csv"],
        both("train"),
        {"labels.csv": NO},
    ),
    Case(
        "a folder of notes beside the splits",
        [*split("train"), "docs/a.txt"],
        both("train"),
        {"docs/a.txt": NO},
    ),
    Case(
        "a class that test lacks",
        [*split("train"), *three("test/cat")],
        {**both("train"), "test/cat": 3},
    ),
    Case(
        "spaces",
        [*three("my cats", " (2).JPG"), *three("my dogs")],
        {"train/my cats": 3, "train/my dogs": 3},
    ),
    Case("other scripts", [*three("猫"), *three("собака")], {"train/猫": 3, "train/собака": 3}),
    Case(
        "é of a Mac",
        [*three("train/cafe\u0301"), *three("test/caf\u00e9")],
        {"train/café": 3, "test/café": 3},
    ),
    Case(
        "bytes that are no text",
        [*PETS, os.fsdecode(b"cat/caf\xe9.png")],
        {**TAKEN, "train/cat": 4},
    ),
    Case(
        "a skipped name that is no text",
        [*PETS, os.fsdecode(b"caf\xe9.txt")],
        TAKEN,
        {os.fsdecode(b"caf\xe9.txt"): NO},
    ),
    Case(
        "a class that is no text",
        [*three(os.fsdecode(b"caf\xe9")), *three("a")],
        {os.fsdecode(b"train/caf\xe9"): 3, "train/a": 3},
    ),
    Case("a line's end in a name", [*PETS, "cat/a\nb.png"], {**TAKEN, "train/cat": 4}),
    Case("deep", [*PETS, "/".join(["cat", *"x" * 200, "a.png"])], {**TAKEN, "train/cat": 4}),
    Case("a folder named like a file", [*PETS, *three("dog/a.png")], {**TAKEN, "train/dog": 6}),
    Case("a class named runs", [*PETS, *three("runs")], {**TAKEN, "train/runs": 3}),
    Case("a class's settings", [*PETS, "cat/config.yaml"], TAKEN, {"cat/config.yaml": NO}),
]
LINKS = [
    Case("a class is a link", [*three("cat"), "dog -> ../elsewhere"], TAKEN),
    Case("a split is a link", [*three("train"), "test -> ../elsewhere"], {"train": 3, "test": 3}),
    Case("a link leads back", [*PETS, "cat/around -> ../../photos"], TAKEN, {"cat/around": BACK}),
    Case("a link leads to its own folder", [*PETS, "cat/around -> ."], TAKEN, {"cat/around": BACK}),
    Case("a link leads up", [*PETS, "up -> ../.."], TAKEN, {"up": BACK}),
    Case(
        "links lead to each other",
        [*PETS, "cat/d -> ../dog", "dog/c -> ../cat"],
        TAKEN,
        {"cat/d": TWICE, "dog/c": TWICE},
    ),
    Case(
        "files are links", [*PETS, "cat/a.png -> ../../elsewhere/0.png"], {**TAKEN, "train/cat": 4}
    ),
    Case(
        "a link to nothing",
        [*PETS, "cat/a.png -> gone.png"],
        TAKEN,
        {"cat/a.png": "a link to nothing"},
    ),
    Case(
        "a link to itself", [*PETS, "cat/a.png -> a.png"], TAKEN, {"cat/a.png": "a link to nothing"}
    ),
    Case("a class twice", [*PETS, "a -> cat"], TAKEN, {"a": TWICE}),
    Case(
        "a test image is one of train",
        [*three("train"), *three("test"), "test/a.png -> ../train/1.png"],
        {"train": 3, "test": 3},
        {"test/a.png": AGAIN},
    ),
    Case(
        "one of train is a test image",
        [*three("test"), *three("train"), "train/0a.png -> ../test/1.png"],
        {"train": 3, "test": 3},
        {"train/0a.png": AGAIN},
    ),
    Case(
        "hard links to an image",
        [*three("train"), *three("test"), "test/a.png => train/1.png"],
        {"train": 2, "test": 4},
        {"train/1.png": AGAIN},
    ),
    Case(
        "links to one file",
        [*three("cat"), "a/0.png -> ../../elsewhere/0.png", "b/0.png -> ../../elsewhere/0.png"],
        {"train/cat": 3, "train/a": 1},
        {"b/0.png": AGAIN},
    ),
    Case(
        "val is test",
        [*split("train", "test"), "val -> test"],
        both("train", "test"),
        {"val": TWICE},
    ),
    Case(
        "links to one folder",
        [*three("cat"), "a -> ../elsewhere", "b -> ../elsewhere"],
        {"train/cat": 3, "train/a": 3},
        {"b": TWICE},
    ),
]
SYSTEMS = [
    Case(
        "a Mac",
        [*PETS, ".DS_Store", "cat/._0.png = junk", "cat/Icon\r"],
        TAKEN,
        {".DS_Store": "hidden", "cat/._0.png": "hidden", "cat/Icon\r": OURS},
    ),
    Case(
        "Windows",
        [*PETS, "cat/Thumbs.db", "desktop.ini", "dog/ehthumbs.db"],
        TAKEN,
        {"cat/Thumbs.db": OURS, "desktop.ini": OURS, "dog/ehthumbs.db": OURS},
    ),
    Case(
        "a drive of Windows",
        [*PETS, "$RECYCLE.BIN/a.png = large", "System Volume Information/a"],
        TAKEN,
        {"$RECYCLE.BIN": OURS, "System Volume Information": OURS},
    ),
    Case("a drive of Linux", [*PETS, "lost+found/"], TAKEN, {"lost+found": OURS}),
    Case(
        "Synology's thumbnails",
        [*PETS, "cat/@eaDir/0.png/SYNO_THUMB_S.jpg = large"],
        TAKEN,
        {"cat/@eaDir": OURS},
    ),
    Case(
        "git and notebooks",
        [*PETS, ".git/a.png = large", "cat/.ipynb_checkpoints/0-checkpoint.png = large"],
        TAKEN,
        {".git": "hidden", "cat/.ipynb_checkpoints": "hidden"},
    ),
    Case(
        "downloads that were cut",
        [*PETS, "cat/a.png.part", "cat/a.jpg.crdownload"],
        TAKEN,
        {"cat/a.png.part": NO, "cat/a.jpg.crdownload": NO},
    ),
    Case(
        "what a camera writes beside",
        [*PETS, "cat/a.CR2", "cat/a.MOV", "cat/a.xmp", "cat/a.dng"],
        TAKEN,
        {f"cat/a.{s}": NO for s in ("CR2", "MOV", "xmp", "dng")},
    ),
    Case(
        "documents",
        [*PETS, "a.pdf", "a.svg", "a.ico", "pets.zip"],
        TAKEN,
        dict.fromkeys(("a.pdf", "a.svg", "a.ico", "pets.zip"), NO),
    ),
    Case(
        "no suffix", [*PETS, "cat/IMG_0001"], TAKEN, {"cat/IMG_0001": "no suffix, and so no image"}
    ),
    Case("a pipe", [*PETS, "cat/a.png = pipe"], TAKEN, {"cat/a.png": "no regular file"}),
]
OWN_RUNS = [
    Case("runs", [*PETS, "runs/mine = run"], TAKEN, {"runs": RUNS}),
    Case(
        "runs, of images without classes",
        [*three(""), "runs/mine = run"],
        {"train": 3},
        {"runs": RUNS},
    ),
    Case(
        "runs beside an outer folder",
        [*three("pets/cat"), *three("pets/dog"), "runs/mine = run"],
        TAKEN,
        {"runs": RUNS},
    ),
    Case(
        "runs with notes and figures",
        [*PETS, "runs/mine = run", "runs/a.png = large", "runs/notes/a.txt"],
        TAKEN,
        {"runs": RUNS},
    ),
    Case(
        "a study",
        [*PETS, "runs/mine/a = run", "runs/mine/b = run", "runs/mine/figure.png = large"],
        TAKEN,
        {"runs": RUNS},
    ),
    Case("runs of another name", [*PETS, "out/mine = run"], TAKEN, {"out": RUNS}),
    Case(
        "a study of another name",
        [*PETS, "s/a = run", "s/analysis/x.json", "s/figure.png = large"],
        TAKEN,
        {"s": RUNS},
    ),
    Case("a run among the classes", [*PETS, "mine = run"], TAKEN, {"mine": RUNS}),
    Case("a run that is being trained", [*PETS, "mine = unfinished run"], TAKEN, {"mine": RUNS}),
    Case(
        "photographs that hold runs",
        [*three("a/cat"), *three("a/dog"), "a/runs/mine = run"],
        TAKEN,
        {"a/runs": RUNS},
    ),
    Case(
        "a run itself",
        ["images/a.png", "config.yaml", "metrics.csv"],
        error=True,
        said=["is a run of this toolkit"],
    ),
    Case(
        "runs alone",
        ["runs/mine = run"],
        error=True,
        said=["no images (.apng", "skipped 1: runs of this toolkit (runs)"],
    ),
]
