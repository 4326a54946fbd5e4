"""Samples of the h of held-out images, and whether things stand in them where h says."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from repr_toolkit.analyses.base import encoder_source, needs_encoder_and_decoder
from repr_toolkit.analyses.placement.readers import READERS, Array
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_split
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder, require_same_data
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.choose import choose_evenly, other_h
from repr_toolkit.support.console import say
from repr_toolkit.support.stats import Groups, Number, difference, mean, share

KEYS = f"where things stand can be measured of samples given {' or '.join(map(repr, READERS))}"


def obstacle(run: Run) -> str | None:
    """Why a run's h does not say where anything stands, or None if it does."""
    reason = needs_encoder_and_decoder(run)
    if reason is not None:
        return reason
    source = encoder_source(run)
    return None if source in READERS else f"its encoder reads {source!r}; {KEYS}"


def measure(run: Run, split: str = "test") -> Result:
    """`measure_alike` of one run, with the default options."""
    return measure_alike([run], split)[0]


def measure_alike(
    runs: Sequence[Run],
    split: str = "test",
    *,
    images: int | None = None,
    rows: int = 8,
    columns: int = 3,
    seed: int = 0,
    temperature: float = 1.0,
    engine: str = "auto",
    progress: bool = False,
) -> list[Result]:
    """Score whether things stand where h says, in samples of runs given the same h and noise.

    The h are those of `images` images, spread evenly over the split (None for all), and each gives
    one sample: sample i has the noise of draw i by `seed` (see `common_noise`), so that runs can be
    compared image by image, as all are to the first. The pictures show `rows` images of different h
    and `columns` samples of each, a column of one noise.

    The arrays are the scores of each image, float64 (N,): `own_h` (of the samples, against where
    their h says), `other_h` (against where an h says that is another's and differs from their own,
    NaN for the images that `choose.other_h` gives none) and `real` (of the images
    themselves). Of the pictured images `index` int64 (rows,) in the split, `image` uint8 (rows, C,
    H, W), `sample` uint8 (rows, columns, C, H, W), and the points that h says, `marks` float64
    (rows, P, 2), in pixels, x before y. And `levels`.

    Raises FileNotFoundError for an unfinished run, and ValueError for no runs, for runs of
    different data or different keys, for an encoder that reads no key in `READERS`, for an engine
    that a decoder lacks, and for a split that the data lack.
    """
    if not runs:
        raise ValueError("there are no runs to measure")
    models = [load_with_decoder(run) for run in runs]
    for model in models:
        model.decoder.choose_engine(engine)  # before the work
    key = _common_key(runs)
    require_same_data({str(run.path): run for run in runs})
    data = runs[0].load_data()
    held_out = data.split(split)
    chosen = choose_evenly(len(held_out), len(held_out) if images is None else images)
    groups = held_out.groups(chosen)
    h_stated = held_out.column(key)[chosen]
    stated: Array = h_stated.numpy()
    pair = other_h(h_stated.reshape(len(chosen), -1), seed)
    others, differ = (part.numpy() for part in pair)
    shown = distinct(stated, rows)
    pictured = [chosen[place] for place in shown]
    if progress:
        say(f"learning to read {key!r} from {data.name}")
    reader = READERS[key](data.splits["train"], data.splits["val"])
    options = {"split": split, "seed": seed, "temperature": temperature}
    facts: dict[str, Any] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        **options,
        "key": key,
        "measure": reader.measure,
        "share": reader.share,
        "images": len(chosen),
        "groups": groups and groups[1],
    }
    of_images: dict[str, Array] = {
        "real": reader.score(reader.read(held_out[chosen]["image"]), stated),
        "index": np.array(pictured, np.int64),
        "image": held_out[pictured]["image"].numpy(),
        "marks": reader.marks(stated[shown]).astype(np.float64),
        "levels": np.asarray(data.levels),
        **({"group": groups[0]} if groups else {}),
    }
    results: list[Result] = []
    for run, model in zip(runs, models, strict=True):
        if progress:
            say(f"drawing {len(chosen)} images from {run.path}")
        draw = partial(
            decode, model.decoder, temperature=temperature, engine=engine, progress=progress
        )
        h = encode_split(model, held_out, indices=chosen)
        noise = common_noise(model.decoder, len(chosen), seed)
        read = reader.read(draw(h, noise[:, None])[:, 0])
        arrays = {
            "own_h": reader.score(read, stated),
            "other_h": np.where(differ, reader.score(read, stated[others]), np.nan),
            **of_images,
            "sample": draw(h[shown], common_noise(model.decoder, columns, seed)).numpy(),
        }
        asked, numbers = {**options, "images": len(chosen)}, {"run": str(run.path), **facts}
        rate = share if reader.share else mean
        numbers |= {name: rate(arrays[name], groups) for name in ("own_h", "real")}
        if differ.sum() > 1:
            of_others = groups and (groups[0][differ], groups[1])
            numbers["other_h"] = rate(arrays["other_h"][differ], of_others)
        if results:
            asked["minus"] = str(runs[0].path)
            minus = paired(arrays["own_h"], results[0].arrays()["own_h"], groups, reader.share)
            numbers["minus_first"] = {"run": asked["minus"], **minus.as_dict()}
        results.append(Result(asked, numbers, arrays))
    return results


def paired(scores: Array, first: Array, groups: Groups | None, shares: bool) -> Number:
    """By how much scores (N,) of the same images exceed those of the first run."""
    return difference(scores > 0, first > 0, groups) if shares else mean(scores - first, groups)


def distinct(stated: Array, rows: int) -> list[int]:
    """Up to `rows` places in `stated` (N, …), spread evenly, of which no two state the same."""
    _, first = np.unique(stated, axis=0, return_index=True)
    places = np.sort(first)
    return [int(places[place]) for place in choose_evenly(len(places), rows)]


def _common_key(runs: Sequence[Run]) -> str:
    """The batch key that the encoders of all runs read."""
    for run in runs:
        if reason := obstacle(run):
            raise ValueError(f"{run.path}: {reason}")
    keys = {str(run.path): str(encoder_source(run)) for run in runs}
    first, *others = dict.fromkeys(keys.values())
    if others:
        raise ValueError(f"the runs' encoders read different keys: {keys}")
    return first
