"""The classes and attributes of images by their names, such as `7`, `smile` or `KEY=VALUE`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from repr_toolkit.data.images import ImageData, ImageSplit, find_column
from repr_toolkit.support.choose import choose_evenly

Flags = npt.NDArray[np.bool_]  # (N,), true for the images that have it

MEASURED = {"brightness": "image", "pose": "landmarks"}
"""What is measured of every image, and by which key: the mean intensity, and how far the nose is to
the right of the middle between the eyes, in distances of the eyes."""
MOST_MEASURED = 20_000  # training images that a median is of


@dataclass(frozen=True)
class Attribute:
    """One code of a batch key: the class 7, the person Ada, the flag smile.

    `key` is KEY[i] where the key holds several numbers an image (see `ImageSplit.column`).
    """

    name: str
    key: str
    code: int

    def flags(self, data: ImageData, split: str, indices: list[int]) -> Flags:
        """Which of a split's images have it: bool (len(indices),)."""
        flags: Flags = data.splits[split].column(self.key).numpy()[indices] == self.code
        return flags


class Measured(Attribute):
    """More of a number in `MEASURED` than the median training image has."""

    def flags(self, data: ImageData, split: str, indices: list[int]) -> Flags:
        train = data.splits["train"]
        median = np.median(_measured(self.key, train, choose_evenly(len(train), MOST_MEASURED)))
        above: Flags = _measured(self.key, data.splits[split], indices) > median
        return above


def _measured(name: str, split: ImageSplit, rows: list[int]) -> npt.NDArray[np.float32]:
    """A number of `MEASURED` of images of a split, (n,)."""
    if name == "brightness":
        measured = split[rows]["image"].mean((1, 2, 3), dtype=torch.float32)
    else:
        left, right, nose = split.column("landmarks")[rows][:, :3].unbind(1)  # (n, 2), x before y
        measured = (nose - (left + right) / 2)[:, 0] / (right - left).norm(dim=1)
    numbers: npt.NDArray[np.float32] = measured.numpy()
    return numbers


def find_attribute(data: ImageData, text: str) -> Attribute:
    """The attribute that a text names in a data set.

    A text is the first of these that fits: KEY=NAME · a key of two values, of which the larger is
    meant (`smile`) · the name of a label · the name of an identity · `brightness` or `pose` (see
    `MEASURED`), above the median of training images. KEY[i] is column i of a key that has several.
    Where codes have no names they are their own; where they have, a code that is no name is
    refused, since it might be taken for one. Raises ValueError for other texts, naming what there
    is.
    """
    key, equals, value = text.partition("=")
    if equals:
        code = _code(data, key, value)
        if code is None:
            raise ValueError(f"{data.name} has no {text}; {offer(data)}")
        return Attribute(text, key, code)
    if _is_column(data, text):
        values = np.unique(data.splits["train"].column(text).numpy())
        if len(values) != 2:
            raise ValueError(
                f"{text!r} has {len(values)} values in {data.name}, not two; say which is meant, "
                f"as {text}=VALUE"
            )
        if (values != values.round()).any():
            raise ValueError(
                f"{text!r} has the values {values[0]} and {values[1]} in {data.name}, which are "
                "not whole numbers: it names no attribute"
            )
        return Attribute(text, text, int(values[1]))
    for key in ("label", "identity"):
        code = _code(data, key, text)
        if code is not None:
            return Attribute(text, key, code)
        if _is_code(data, key, text):
            break  # nor a person's code
    if MEASURED.get(text) in data.arrays:
        return Measured(text, text, 1)
    raise ValueError(f"{data.name} has neither a class nor an attribute {text!r}; {offer(data)}")


def _code(data: ImageData, key: str, text: str) -> int | None:
    names = data.names.get(key, ())
    if text in names:
        return names.index(text)
    if _is_code(data, key, text):
        return None
    if not _is_column(data, key) or not text.removeprefix("-").isdecimal():
        return None
    codes = data.splits["train"].column(key)
    return int(text) if bool((codes == int(text)).any()) else None


def _is_code(data: ImageData, key: str, text: str) -> bool:
    """Whether a text is the code of something that has a name, and not a name itself."""
    return text.isdecimal() and int(text) < len(data.names.get(key, ()))


def _is_column(data: ImageData, name: str) -> bool:
    """Whether this is a key of one number an image, or KEY[i]."""
    column = find_column(data.arrays, name)
    return column is not None and (column[1] is not None or data.arrays[name].ndim == 1)


def offer(data: ImageData) -> str:
    """The keys, columns and labels that a text may name, in words."""
    keys = [key for key, array in data.arrays.items() if array.ndim == 1]
    keys += [
        f"{key}[0] to {key}[{array.shape[1] - 1}]"
        for key, array in data.arrays.items()
        if array.ndim == 2 and array.dtype.kind != "f"
    ]
    known = f"its keys of one value an image are {', '.join(keys)}" if keys else "it has no keys"
    names = data.names.get("label", ())
    few = f", its labels {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else ""
    return known + few
