"""Cases of formats, modes, sizes and damage of image files in folders (see toys.folders)."""

from repr_toolkit.data import walk
from toys.folders import EVERY, HEIC, PETS, SEVERAL, TAKEN, Case, of_kinds, split, three

FORMATS = [
    Case(
        "JPEG's other suffixes",
        [f"a{s}" for s in (".jpg", ".JPEG", ".jfif", ".jpe", ".JPG")],
        {"train": 5},
    ),
    Case(
        "other formats",
        [
            f"a{s}"
            for s in (
                ".png",
                ".webp",
                ".bmp",
                ".tif",
                ".tiff",
                ".ppm",
                ".tga",
                ".qoi",
                ".apng",
                ".dib",
                ".jp2",
                ".pnm",
            )
        ],
        {"train": 12},
    ),
    Case("grey formats", ["a.pgm = L", "b.png = L", "c.jpg = L"], {"train": 3}),
    Case(
        "AVIF",
        [*PETS, "cat/a.avif"],
        {**TAKEN, "train/cat": 4} if ".avif" in walk.readable_suffixes() else TAKEN,
        {} if ".avif" in walk.readable_suffixes() else {"cat/a.avif": "another Pillow"},
    ),
    Case(
        "HEIC without a plug-in",
        [*PETS, "cat/a.HEIC", "dog/b.heif"],
        TAKEN,
        {"cat/a.HEIC": f".heic {HEIC}", "dog/b.heif": f".heif {HEIC}"},
    ),
    Case("a PNG that is named .jpg", [*PETS, "cat/a.jpg = png"], {**TAKEN, "train/cat": 4}),
    Case("a phone's several pictures", [*PETS, "cat/a.jpg = mpo"], {**TAKEN, "train/cat": 4}),
    Case(
        "what moves",
        [*PETS, "cat/a.gif = several", "dog/b.webp = several", "dog/c.png = several"],
        TAKEN,
        {"cat/a.gif": SEVERAL, "dog/b.webp": SEVERAL, "dog/c.png": SEVERAL},
        said=["(cat/a.gif, dog/b.webp, dog/c.png)"],
    ),
    Case("pages", [*PETS, "cat/scan.tif = several"], TAKEN, {"cat/scan.tif": SEVERAL}),
    Case(
        "a class that moves",
        [*PETS, *three("emoji", ".gif", "several")],
        TAKEN,
        {f"emoji/{i}.gif": SEVERAL for i in range(3)},
    ),
    Case(
        "all moves",
        three("", ".gif", "several"),
        error=True,
        said=["no images to train on", f"{SEVERAL} (0.gif, 1.gif, 2.gif)"],
    ),
    Case(
        "twelve that move",
        [*PETS, *three("cat", ".gif", "several", 12)],
        TAKEN,
        {f"cat/{i}.gif": SEVERAL for i in range(12)},
        said=["and 2 more)"],
    ),
]
MODES = [
    Case(
        "modes, converted to RGB",
        [*PETS, *of_kinds(*EVERY)],
        {**TAKEN, "train/cat": 11},
        mode="RGB",
        said=[
            "made RGB: 1 × 1-bit, 1 × L, 1 × LA, 1 × P",
            "1 × RGB of 16 bits",
            "laid over white: 2 with",
            "8 bits, the upper ones: 2 of 16",
        ],
    ),
    Case(
        "modes, converted to grey",
        [*PETS, *of_kinds(*EVERY)],
        {**TAKEN, "train/cat": 11},
        mode="grey",
        said=["made grey: 6 × RGB, 1 × 1-bit"],
    ),
    Case(
        "modes, not converted",
        [*PETS, *of_kinds(*EVERY)],
        error=True,
        said=[
            "8 of 14 images are not RGB of 8 bits, as most; data.mode",
            "cat/00.png (1), cat/01.png (L), cat/02.png (LA), cat/03.png (P), cat/04.png (RGBA), ",
            "cat/05.jpg (CMYK), cat/06.png (I;16), cat/07.png (RGB of 16 bits)",
        ],
    ),
    Case(
        "twelve of another mode",
        [*three("cat", count=13), *three("dog", ".png", "L", 12)],
        error=True,
        said=["12 of 25", "dog/7.png (L) and 2 more"],
    ),
    Case("all grey", three("cat", ".png", "L"), {"train/cat": 3}),
    Case(
        "grey but for one",
        [*three("cat", ".png", "L"), "cat/a.png"],
        error=True,
        said=["1 of 4 images are not L", "a.png (RGB)"],
    ),
    Case(
        "all transparent",
        three("cat", ".png", "RGBA"),
        error=True,
        said=["3 of 3 images are not RGB", "data.mode"],
    ),
    Case(
        "all in palettes",
        three("cat", ".gif"),
        {"train/cat": 3},
        mode="RGB",
        said=["made RGB: 3 × P"],
    ),
    Case(
        "a transparent colour",
        [*PETS, "cat/a.png = tRNS"],
        {**TAKEN, "train/cat": 4},
        said=["taken as if it had none: 1 with transparency"],
    ),
    Case(
        "a transparent colour, converted",
        [*PETS, "cat/a.png = tRNS"],
        {**TAKEN, "train/cat": 4},
        mode="RGB",
        said=["laid over white: 1 with"],
    ),
    Case(
        "32 bits and LAB",
        [*PETS, *of_kinds("F", "I", "LAB")],
        error=True,
        mode="RGB",
        said=[
            "3 of 9 images cannot be brought to 8 bits",
            "00.tif (F), cat/01.tif (I), cat/02.tif (LAB)",
        ],
    ),
    Case("sizes, scaled", [*PETS, "cat/a.png = large"], {**TAKEN, "train/cat": 4}, size=4),
    Case(
        "sizes, enlarged",
        [*PETS, "cat/a.png = large"],
        {**TAKEN, "train/cat": 4},
        size=6,
        said=["enlarged: 6"],
    ),
    Case(
        "sizes, not scaled",
        [*PETS, "cat/a.png = large", "dog/b.png = large"],
        error=True,
        said=["2 of 8 images are not 4×4, as most; data.size", "cat/a.png (9×7), dog/b.png (9×7)"],
    ),
    Case(
        "a phone held upright",
        [*three("", ".jpg"), "a.jpg = turned"],
        error=True,
        said=["a.jpg (3×4)"],
    ),
    Case(
        "all problems at once",
        [*PETS, "cat/a.png = large", "dog/b.png = L", "dog/c.png = junk", "dog/d.tif = F"],
        error=True,
        said=["c.png (damaged", "d.tif (F)", "b.png (L)", "a.png (9×7)"],
    ),
]
REFUSED = [
    Case("nothing in it", [], error=True, said=["no images (.apng", "an empty folder (.)"]),
    Case(
        "texts alone",
        ["a.txt", "b.csv"],
        error=True,
        said=["skipped 2: .csv is no image (b.csv); .txt is no"],
    ),
    Case("HEIC alone", ["a.heic"], error=True, said=["no images", HEIC]),
    Case(
        "files of no bytes",
        [*PETS, "cat/a.png = empty", "dog/b.jpg = empty"],
        error=True,
        said=["2 of 8 images cannot be read", "cat/a.png (damaged", "dog/b.jpg (damaged"],
    ),
    Case("a page named .jpg", [*PETS, "cat/a.jpg = junk"], error=True, said=["cat/a.jpg (damaged"]),
    Case(
        "files cut short",
        [*PETS, "cat/a.bmp = cut", "dog/b.bmp = cut"],
        error=True,
        said=["2 of 8 images cannot be used", "cat/a.bmp (damaged", "dog/b.bmp (damaged"],
    ),
    Case(
        "a strange folder beside the splits",
        [*split("train"), *three("extra")],
        error=True,
        said=["extra/ is no split"],
    ),
    Case(
        "a split twice",
        split("train", "val", "valid"),
        error=True,
        said=["val/ and valid/ are both the val"],
    ),
    Case(
        "train twice",
        split("Train", "train"),
        error=True,
        said=["Train/ and train/ are both the train"],
    ),
    Case("test alone", split("test"), error=True, said=["there is test, but no train"]),
    Case(
        "val and test alone", split("val", "Test"), error=True, said=["Test and val, but no train"]
    ),
    Case(
        "train is empty",
        [*split("test"), "train/"],
        error=True,
        said=["no train with images", "an empty folder (train)"],
    ),
    Case(
        "images beside classes",
        [*PETS, *three("", count=12)],
        error=True,
        said=["0.png, 1.png, 10.png", "and 2 more lie beside the folders of classes"],
    ),
    Case(
        "a test without classes",
        [*split("train"), *three("test")],
        error=True,
        said=["no class folders, but", "elsewhere"],
    ),
]
