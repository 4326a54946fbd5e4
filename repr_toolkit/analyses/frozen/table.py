"""What a study of frozen representations found, as a table, a picture, numbers and maps."""

import csv
import io
import json
from collections.abc import Mapping
from math import floor, log10, prod
from pathlib import Path
from typing import Any

import numpy as np

from repr_toolkit.analyses.frozen.measure import Findings, OfSource
from repr_toolkit.analyses.information.bounds import told
from repr_toolkit.analyses.information.picture import DPI, Row, overlays
from repr_toolkit.analyses.information.usable import Usable
from repr_toolkit.support.files import atomic_write, write_json
from repr_toolkit.support.tables import aligned, notes_text

COORDINATES = 10  # of a masked decoder that the table names

STATEMENT = (
    "bits saved: the mean over held-out images of log₂ q(x|h) − log₂ q(x), the two by decoders of "
    "one kind, trained on the same images for as many steps, the null's given h = 0 for every "
    "image. It estimates CE(x) − CE(x|h) = I(x; h) + KL(p(x) ‖ q) − E KL(p(x|h) ‖ q(·|h)): the "
    "information in h that is *usable* by this decoder family and budget (Xu et al. 2020, "
    "arXiv:2002.10689), **not the mutual information, nor a bound of it**. For a deterministic "
    "encoder I(x; h) = H(h), which says nothing of what h is good for. Rankings rank usable bits."
)


def same_question(study_dir: Path, asked: Mapping[str, Any]) -> bool:
    """Whether information.json answers these very questions."""
    try:
        there = json.loads((study_dir / "information.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(there.get("asked") == json.loads(json.dumps(asked)))


def write(study_dir: Path, found: Findings, asked: Mapping[str, Any], command: str) -> None:
    """information.md, .csv, .json, .png and .npz in the study's folder.

    The .npz holds ``names`` (K,) and the bits of every image of S seeds, float64: ``null_bits``
    (S, N) without h, ``saved_bits`` (K, S, N), and ``other_h_costs`` (K, S, N), more than own h.
    Where there are maps it has ``saved_map`` and ``saved_error`` float32 (K, C, H, W) too, and of
    the images ``image`` uint8 (s, C, H, W), of ``levels`` levels, ``shown`` (K, s, C, H, W).
    """
    numbers = as_dict(found, asked, command)
    with atomic_write(study_dir / "information.png") as file:
        _picture(found).savefig(file, dpi=DPI, format="png")
    with atomic_write(study_dir / "information.npz") as file:
        np.savez_compressed(file, **_arrays(found))
    with atomic_write(study_dir / "information.csv") as file:
        file.write(csv_text(found).encode())
    title = f"# {study_dir.resolve().name}: information in frozen h, {found.split} images\n"
    with atomic_write(study_dir / "information.md") as file:
        file.write("\n".join([title, table(found), notes_text(notes(found, study_dir))]).encode())
    write_json(study_dir / "information.json", numbers)


def as_dict(found: Findings, asked: Mapping[str, Any], command: str) -> dict[str, Any]:
    """All numbers and the whole protocol, ready for JSON."""
    best = found.sources[0]
    return {
        "command": command,
        "asked": dict(asked),
        "data": found.data.name,
        "fingerprint": found.data.fingerprint,
        "levels": found.data.levels,
        "split": found.split,
        "seed": found.seeds[0],
        "seeds": found.seeds,
        "steps": found.steps,
        "likelihood": found.likelihood,
        "what": STATEMENT,
        "null": "the same decoder given h = 0 for every image",
        "h": "standardised by training images",
        "null_bits": found.null_bits,
        "null_bits_of_seeds": found.null_bits_of_seeds,
        "dims": prod(found.data.image_shape),
        "sources": [
            {
                "name": source.name,
                "made_by": source.made_by,
                "dim": source.dim,
                "bits": source.bits,
                "bits_of_seeds": source.bits_of_seeds,
                "usable": source.usable.as_dict(),
                "minus_best": None if source is best else _minus(source, best).as_dict(),
                "minus": {
                    other.name: _minus(source, other).as_dict()
                    for other in found.sources
                    if other is not source
                },
                "shuffled_costs": source.shuffled.as_dict(),
                "lower_bound": source.bound.as_dict(),
                "masked": source.one_network and source.one_network.as_dict(),
                "cumulative": None if source.cumulative is None else source.cumulative.tolist(),
            }
            for source in found.sources
        ],
    }


def table(found: Findings) -> str:
    """A line a source, most usable bits first, and again with the controls.

    Below them, each masked decoder's coordinates.
    """
    best = found.sources[0]
    names = ["h", *(source.name for source in found.sources)]
    saved = [
        names,
        ["m", *(str(source.dim) for source in found.sources)],
        ["needs", *(f"{source.bits:,.1f}" for source in found.sources)],
        ["bits saved", *(with_interval(source.usable) for source in found.sources)],
        [
            "minus the best",
            *("–" if s is best else with_interval(_minus(s, best)) for s in found.sources),
        ],
    ]
    controls = [
        names,
        ["other h costs", *(with_interval(source.shuffled) for source in found.sources)],
        ["I(x; h) ≥", *(told(source.bound.as_dict()) for source in found.sources)],
    ]
    dims = prod(found.data.image_shape)
    the = "The" if found.likelihood == "exact" else "An upper bound of the"
    text = (
        f"{the} null needs "
        f"{found.null_bits:,.1f} bits an image, {found.null_bits / dims:.4f} bits/dim. "
        "In bits an image (95 %):\n\n"
    )
    parts = [text + aligned(saved), aligned(controls)]
    for source in found.sources:
        if source.one_network is not None:
            parts.append(_coordinates(source))
    return "\n".join(parts)


def _coordinates(source: OfSource) -> str:
    network = source.one_network
    assert network is not None
    first = network.coordinates[:COORDINATES]
    lines = aligned(
        [
            [f"{source.name}, masked", "all of h", *(part.name for part in first)],
            [
                "bits",
                with_interval(network.usable),
                *(with_interval(part.worth) for part in first),
            ],
        ]
    )
    rest = len(network.coordinates) - len(first)
    return lines + (f"\nand {rest} coordinates of fewer bits, in information.json\n" * (rest > 0))


def notes(found: Findings, study_dir: Path) -> list[str]:
    """What a reader has to know of the numbers."""
    split, levels = found.split, found.data.levels
    images = found.sources[0].usable.saved.shape[1]
    told_of = [
        STATEMENT,
        f"On {images:,} {split} images of {found.data.name}, {levels} levels; every decoder was "
        f"trained for {found.steps:,} steps (seeds {', '.join(map(str, found.seeds))}) on h that "
        "is frozen and standardised by training images. Likelihoods are "
        + ("exact." if found.likelihood == "exact" else "lower bounds."),
        f"needs: bits of an image given its h{_of_seeds(found)}. Where a decoder has not learnt "
        "what it could (its bits differ between seeds by more than chance, or are above a known "
        "entropy), train longer: what the null alone misses would be counted for h.",
        f"95 %: {found.sources[0].usable.covers}. minus the best: bits saved less those of the "
        "first line, paired by image.",
        "other h costs: how many bits more an image needs given another image's h (one fixed "
        "random cycle). At or below 0 the decoder makes nothing of h.",
        "I(x; h) ≥: E log₂ q(x|h) / mean_j q(x|h_j) over candidates j, own h included, of the "
        "first seed: **a true lower bound of the mutual information** (van den Oord et al. 2018, "
        "arXiv:1807.03748), with the 95 % interval of its estimate. It cannot exceed log₂ of the "
        f"number of candidates, {found.sources[0].bound.ceiling:.2f} bits; at its ceiling it says "
        "no more than that.",
    ]
    if any(source.one_network for source in found.sources):
        told_of.append(
            "masked: one decoder, trained with random coordinates of h hidden. all of h: against "
            "the same network with all hidden; a coordinate: CE(x|h without it) − CE(x|h), so that "
            "coordinates that say the same are worth nothing beside each other."
        )
    if found.sources[0].saved_map is not None:
        told_of.append(
            "information.png: bits saved at each pixel (summed over channels), given the pixels "
            "before it in the raster, over the images; violet where h saves bits, orange where it "
            "costs some. What h repeats of pixels that are known by then saves nothing."
        )
    told_of.append(
        f"All numbers, of all seeds, in information.json, each source minus each other too; maps, "
        f"and the bits of every image, in information.npz. The trainings "
        f"lie in {study_dir}/; the same command again keeps those that are done."
    )
    return told_of


def _of_seeds(found: Findings) -> str:
    """What the null needs by each seed, where there are several."""
    if len(found.seeds) == 1:
        return ""
    each = ", ".join(f"{bits:,.2f}" for bits in found.null_bits_of_seeds)
    return f", the mean over seeds (the null by seed: {each}; all in information.json)"


def csv_text(found: Findings) -> str:
    """One line a source, all digits."""
    best = found.sources[0]
    lines = []
    for source in found.sources:
        line: dict[str, object] = {
            "source": source.name,
            "dim": source.dim,
            "data": found.data.name,
            "split": found.split,
            "levels": found.data.levels,
            "images": source.usable.saved.shape[1],
            "seeds": len(found.seeds),
            "bits": source.bits,
            "null_bits": found.null_bits,
        }
        values: dict[str, Usable | None] = {
            "usable_bits": source.usable,
            "minus_best": None if source is best else _minus(source, best),
            "shuffled_costs": source.shuffled,
        }
        for key, value in values.items():
            line[key] = value and value.bits
            line[f"{key}_low"], line[f"{key}_high"] = value.interval if value else (None, None)
        line["lower_bound"] = source.bound.bits
        line["lower_bound_low"], line["lower_bound_high"] = source.bound.interval
        line["lower_bound_ceiling"] = source.bound.ceiling
        line["made_by"] = source.made_by
        lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*lines[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def with_interval(value: Usable) -> str:
    """Bits and their interval, to the interval's second digit."""
    return bits_text(value.bits, *value.interval)


def bits_text(bits: float, low: float, high: float) -> str:
    """A number of bits with its interval.

    >>> bits_text(12.3456, 12.1, 12.6), bits_text(-0.0123, -0.0142, -0.0101)
    ('12.35 (12.10 to 12.60)', '−0.0123 (−0.0142 to −0.0101)')
    """
    width = high - low
    digits = min(4, max(1, 1 - floor(log10(width)))) if width > 0 else 3
    return f"{bits:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".replace("-", "−")


def _minus(source: OfSource, other: OfSource) -> Usable:
    return Usable(source.usable.saved - other.usable.saved)


def _arrays(found: Findings) -> dict[str, Any]:
    arrays = {
        "names": np.array([source.name for source in found.sources]),
        "null_bits": found.null_bits_of_images,
        "saved_bits": np.stack([source.usable.saved for source in found.sources]),
        "other_h_costs": np.stack([source.shuffled.saved for source in found.sources]),
    }
    with_maps = [source for source in found.sources if source.saved_map is not None]
    if not with_maps:  # a decoder has one for all sources, or for none
        return arrays
    return arrays | {
        "saved_map": np.stack([np.float32(source.saved_map) for source in with_maps]),
        "saved_error": np.stack([np.float32(source.saved_error) for source in with_maps]),
        "shown": np.stack([source.shown for source in with_maps if source.shown is not None]),
        "image": found.images.numpy(),
        "levels": np.array(found.data.levels),
    }


def _picture(found: Findings) -> Any:
    rows = [
        Row(source.name, source.saved_map, source.shown, source.cumulative)
        for source in found.sources
        if source.saved_map is not None
        and source.shown is not None
        and source.cumulative is not None
    ]
    return overlays(rows, found.images, levels=found.data.levels)
