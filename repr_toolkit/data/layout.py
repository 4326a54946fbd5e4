"""The splits and classes that the folders of image files stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from repr_toolkit.data.walk import Skipped, is_run, named, readable_suffixes, skipped_text, walk

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The splits that folders of these names, in upper or lower case, are."""


@dataclass(frozen=True)
class Layout:
    """The image files of a folder by split and class. Nothing of them has been opened.

    Attributes:
        folder: The folder that was read.
        root: The folder that the splits or classes lie in: `folder`, or one inside it.
        splits: The files of each split that is there, sorted; all are in `train` where no folders
            are splits.
        labels: The class of each file, in the same order; or None where there are no classes.
        skipped: What was left out, and why.
        split_folders: The name in `root` of the folder of each split; none where no folders are.
    """

    folder: Path
    root: Path
    splits: Mapping[str, Sequence[Path]]
    labels: Mapping[str, Sequence[str]] | None
    skipped: Sequence[Skipped]
    split_folders: Mapping[str, str]

    @property
    def files(self) -> list[Path]:
        """All files, split by split."""
        return [file for files in self.splits.values() for file in files]

    @property
    def doubt(self) -> str:
        """That a folder named as for validation or test is taken for a class, for want of train."""
        labels = {} if self.split_folders else self.labels or {}
        names = sorted({name for of in labels.values() for name in of if _split(name)})
        is_class = "is taken for a class" if len(names) == 1 else "are taken for classes"
        folders = " and ".join(f"{name}/" for name in names)
        return f"{folders} {is_class}, since there is no train/" if names else ""


def read_layout(folder: Path) -> Layout:
    """The images below a folder, whose sub-folders are classes, splits, or splits of classes.

    Images are the files that `walk` finds. Outer folders that hold one folder and nothing else
    are looked through, down to splits or to several classes. If there is a folder `train`, it and
    those for validation and test are the splits, in any spelling of `SPLIT_NAMES`. The names of the
    sub-folders, or of those of each split, are the classes; in Unicode's composed form, since a Mac
    writes é as two characters. Images beside the folders of splits are skipped.

    Raises ValueError, which names the files or folders, for a folder without images or of a run,
    for splits without train, for a split that is there twice, a folder beside the splits that holds
    images, images beside the classes instead of in one, and classes in some splits only.
    """
    if is_run(folder):
        raise ValueError(f"{folder} is a run of this toolkit, not a folder of images")
    files, skipped = walk(folder)
    if not files:
        suffixes = ", ".join(sorted(readable_suffixes()))
        what = skipped_text(skipped)
        raise ValueError(f"{folder}: no images ({suffixes}) in it{what and '; ' + what}")
    outer = _outer(folder, files)
    root = folder.joinpath(*outer)
    inside = {file: file.relative_to(root).parts for file in files}
    folders = sorted({parts[0] for parts in inside.values() if len(parts) > 1})
    if not any(_split(name) == "train" for name in folders):
        if folders and all(map(_split, folders)):
            raise ValueError(
                f"{root}: there is {' and '.join(folders)}, but no train with images in it; "
                f"{skipped_text(skipped) or 'give the folder that holds all splits'}"
            )
        labels = _classes(root, files, inside)
        by_split = None if labels is None else {"train": labels}
        return Layout(folder, root, {"train": files}, by_split, skipped, {})
    places = _split_folders(root, folders)
    for file, parts in inside.items():
        if len(parts) == 1:
            beside = file.relative_to(folder).as_posix()
            skipped = sorted([*skipped, Skipped(beside, "beside the folders of splits")])
    splits = {
        split: [file for file, parts in inside.items() if parts[0] == name and parts[1:]]
        for split, name in places.items()
    }
    classes = {
        split: _classes(root / places[split], paths, {f: inside[f][1:] for f in paths})
        for split, paths in splits.items()
    }
    bare = [split for split, labels in classes.items() if labels is None]
    if bare and len(bare) < len(splits):
        raise ValueError(
            f"{root / places[bare[0]]}: no class folders, but there are in the other splits; move "
            f"images without class elsewhere (what is missing is cut from train)"
        )
    some = {split: labels for split, labels in classes.items() if labels is not None}
    return Layout(folder, root, splits, some or None, skipped, places)


def _outer(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """The folders below `folder` to look through, the outermost first."""
    outer: tuple[str, ...] = ()
    split: tuple[str, ...] | None = None  # above a folder that is named like a split, but train
    inside = [file.relative_to(folder).parts for file in files]
    while True:
        below = [parts[len(outer) :] for parts in inside]
        folders = sorted({parts[0] for parts in below if len(parts) > 1})
        if any(_split(name) == "train" for name in folders):
            return outer
        loose = any(len(parts) == 1 for parts in below)
        if loose or len(folders) > 1:
            # Where images lie loose, what looks like an outer folder is the only class.
            return split if split is not None else () if loose else outer
        if split is None and _split(folders[0]):
            split = outer
        outer = (*outer, *folders)


def _split(name: str) -> str | None:
    return SPLIT_NAMES.get(name.casefold())


def _split_folders(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """The folder of each split, in the order of their names."""
    strange = [f"{name}/" for name in folders if _split(name) is None]
    if strange:
        is_none = "is no split" if len(strange) == 1 else "are no splits"
        raise ValueError(
            f"{root}: {named(strange)} {is_none}: beside `train` there may be val (valid, "
            f"validation, dev) and test (testing); move it elsewhere"
        )
    places: dict[str, str] = {}
    for name in folders:
        split = str(_split(name))
        if split in places:
            raise ValueError(
                f"{root}: {places[split]}/ and {name}/ are both the {split} split; move one "
                f"elsewhere"
            )
        places[split] = name
    return places


def _classes(
    place: Path, files: Sequence[Path], inside: Mapping[Path, tuple[str, ...]]
) -> list[str] | None:
    """The class of every file, by the first folder below `place`; None if none is in a folder."""
    loose = [str(inside[file][0]) for file in files if len(inside[file]) == 1]
    if len(loose) == len(files):
        return None
    if loose:
        lie = "lies" if len(loose) == 1 else "lie"
        raise ValueError(
            f"{place}: {named(loose)} {lie} beside the folders of classes instead of in one"
        )
    return [normalize("NFC", inside[file][0]) for file in files]
