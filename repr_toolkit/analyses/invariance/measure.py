"""What the samples of a run's h have in common, measured on held-out images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from repr_toolkit.analyses.invariance.statistics import (
    Neighbours,
    agreement,
    nearest,
    neighbours,
    reencoding,
    variance_maps,
)
from repr_toolkit.analyses.judge import judged_by, require_judgeable, train_judge
from repr_toolkit.data import ImageData, ImageSplit
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode, draws_that_differ, reconstruction_temperature
from repr_toolkit.support.choose import choose_evenly, choose_originals
from repr_toolkit.support.console import say
from repr_toolkit.support.stats import Groups

if TYPE_CHECKING:
    from repr_toolkit.models.autoencoder import EncoderDecoder

Array = npt.NDArray[Any]
CANDIDATES = 1_000  # held-out images among which a re-encoded sample's own is looked for
GALLERY = 10_000  # training images among which neighbours are looked for

PROTOCOL = {
    "variance": "estimate: of a sub-pixel, in squared intensities of [0, 1], unbiased",
    "shares": "fractions of one; low and high: 95 %, of which samples or neighbours of one image, "
    "and the images of one group, are a cluster",
    "relative_distance": "Euclidean in h, to the own h over the mean of that to others'; its "
    "standard error is over images",
    "left_out": "the spread between trainings, of the run and of the judge",
}
"""What the numbers are."""


def measure(
    run: Run,
    split: str = "test",
    *,
    images: int = 64,
    samples: int = 16,
    key: str | None = None,
    k: int = 5,
    rows: int = 10,
    seed: int = 0,
    temperature: float | None = None,
    engine: str = "auto",
    progress: bool = False,
) -> Result:
    """Draw `samples` images from the h of each of `images` held-out ones, and compare them.

    The images are spread evenly over the split, and each has noise of its own. The judge of `key`
    (by default the label or the identity, where the data has one to judge by) is trained on real
    images. `temperature` is by default the decoder's `reconstruction_temperature`; at 0, and from
    the z of a flow, samples cannot differ, and one is drawn.

    The arrays are what the pictures show: of up to `rows` images `image` uint8 (rows, C, H, W),
    `sample` uint8 (rows, n, C, H, W), `variance` float32 (rows, C, H, W), the `name` of each code,
    and where there are any `nearest_h` and `nearest_pixels`, uint8 (rows, k, C, H, W); the
    `mean_variance` float32 (C, H, W) of all images; and `levels`.

    Raises FileNotFoundError for what is no finished run, and ValueError for one without encoder, a
    split that the data lacks, a key that cannot be judged by, and fewer than two images or samples.
    """
    model = load_with_decoder(run).coded
    if model.encoder is None:
        raise ValueError(f"{run.path} has no encoder: there is no h to draw samples of")
    if images < 2 or samples < 2:
        raise ValueError(f"2 images and 2 samples at the least, not {images} and {samples}")
    data = run.load_data()
    held_out = data.split(split)
    if key is None:
        key = judged_by(data, split)
    else:
        require_judgeable(data, key, split)
    candidates = choose_evenly(len(held_out), CANDIDATES)
    places = choose_evenly(len(candidates), images)
    chosen = [candidates[index] for index in places]
    batch, groups = held_out[chosen], held_out.groups(chosen)
    h = encode_split(model, held_out, indices=candidates)
    temperature = reconstruction_temperature(model.decoder, temperature)
    draws = draws_that_differ(model.decoder, samples, temperature)
    noise = common_noise(model.decoder, len(chosen) * draws, seed)
    drawn = decode(
        model.decoder,
        h[places],
        noise.unflatten(0, (len(chosen), draws)),
        temperature=temperature,
        engine=engine,
        progress=progress,
    )
    real = held_out[candidates]["image"]
    variance = variance_maps(drawn, data.levels)
    truth: Array | None = None
    shown = choose_evenly(len(chosen), rows)
    names = [""] * len(shown)
    if key is not None:
        truth = held_out.column(key).numpy().astype(np.int64)
        shown = choose_originals(len(chosen), rows, torch.from_numpy(truth[chosen]))
        names = [data.name_of(key, code) for code in truth[chosen][shown].tolist()]
    arrays: dict[str, Array] = {
        "image": batch["image"][shown].numpy(),
        "sample": drawn[shown].numpy(),
        "variance": variance[shown],
        "mean_variance": variance.mean(0),
        "name": np.array(names),
        "levels": np.asarray(data.levels),
    }
    missing: dict[str, str] = {}
    facts = judged = again = near = None
    if key is None or truth is None:
        missing["agreement"] = "the data has neither label nor identity to judge by"
    else:
        if progress:
            say(f"training a judge of {key!r} on real images of {data.name}")
        judge, facts = train_judge(data, key, split, seed=seed)
        read = judge.classify(drawn.flatten(0, 1)).reshape(len(chosen), draws)
        judged = agreement(read, judge.classify(batch["image"]), truth[chosen], groups)
    if model.encoder.source == "image":
        flat = {"image": drawn.flatten(0, 1).numpy()}
        h_of_samples = encode_split(model, ImageSplit(flat, np.arange(len(noise)), data.levels))
        parted = h_of_samples.unflatten(0, (len(chosen), draws))
        again = reencoding(parted, torch.tensor(places), h, groups)
    else:
        missing["reencoding"] = (
            f"the encoder reads {model.encoder.source!r}, which a sample does not have"
        )
    distinct = len(torch.unique(h, dim=0))
    if split == "train":
        missing["neighbours"] = "the images are themselves among training images"
    elif 2 * distinct < len(h):
        missing["neighbours"] = f"{len(h):,} images have only {distinct:,} different h"
    else:
        codes = None if truth is None else truth[candidates]
        near, pictured = _neighbours(
            model,
            data,
            h,
            real,
            codes,
            key,
            k,
            [places[row] for row in shown],
            held_out.groups(candidates),
        )
        arrays |= pictured
    numbers = {
        "run": str(run.path),
        "data": data.name,
        "split": split,
        "levels": data.levels,
        "images": len(chosen),
        "samples": draws,
        "temperature": temperature,
        "seed": seed,
        "variance": float(variance.mean()),
        "data_variance": float((real.double() / (data.levels - 1)).var(0).mean()),
        "judge": facts,
        "agreement": judged,
        "reencoding": again,
        "neighbours": near,
        "missing": missing,
        "protocol": PROTOCOL,
    }
    asked = {name: numbers[name] for name in ("split", "images", "samples", "seed", "temperature")}
    return Result({**asked, "by": key, "neighbours": near and near.k}, numbers, arrays)


def _neighbours(
    model: "EncoderDecoder",
    data: ImageData,
    h: Tensor,
    images: Tensor,
    codes: Array | None,
    key: str | None,
    k: int,
    rows: Sequence[int],
    groups: Groups | None,
) -> tuple[Neighbours, dict[str, Array]]:
    """The training images nearest to held-out ones, and the pictures of those nearest to `rows`.

    `h`, `images` and `codes`, those of `key`, are of the same held-out images.
    """
    train: ImageSplit = data.splits["train"]
    chosen = choose_evenly(len(train), GALLERY)
    k = min(k, len(chosen))
    gallery_h = encode_split(model, train, indices=chosen)
    gallery = train[chosen]
    by_h = nearest(h.numpy(), gallery_h.numpy(), k)
    flat = [pixels.flatten(1).numpy().astype(np.float32) for pixels in (images, gallery["image"])]
    by_pixels = nearest(flat[0], flat[1], k)
    of_gallery = None if key is None else train.column(key)[chosen].numpy().astype(np.int64)
    numbers = neighbours(
        by_h, by_pixels, len(chosen), key=key, codes=codes, gallery_codes=of_gallery, groups=groups
    )
    pictures = gallery["image"].numpy()
    return numbers, {
        "nearest_h": pictures[by_h[list(rows)]],
        "nearest_pixels": pictures[by_pixels[list(rows)]],
    }
