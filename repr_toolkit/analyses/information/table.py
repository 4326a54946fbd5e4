"""What a run's own decoder says of its h, as a table and a picture."""

from typing import Any

import torch

from repr_toolkit.analyses.frozen.table import bits_text
from repr_toolkit.analyses.information.bounds import told
from repr_toolkit.analyses.information.measure import KINDS, OwnInformation
from repr_toolkit.analyses.information.picture import Row, overlays
from repr_toolkit.support.tables import aligned, notes_text

PARTS = 8  # coordinates that the table names


def table(found: OwnInformation) -> str:
    """What own h saves, the lower bounds and the most sensitive parts, with what they are."""
    numbers = found.numbers
    saves = numbers["saves"]
    per_dim = numbers["bits_per_dim"]
    kind = numbers["likelihood"]
    verb = "needs" if kind == "exact" else "needs at most"
    head = (
        f"{numbers['run']}, {numbers['split']}: {numbers['images']:,} images, "
        f"{numbers['levels']} levels, h of {numbers['h_dim']}\n"
        f"given its own h an image {verb} {numbers['bits']:,.1f} bits, "
        f"{per_dim['mean']:.4f} ± {per_dim['standard_error']:.4f} bits/dim ({kind}; ±: standard "
        "error)\n"
    )
    kinds = aligned(
        [
            ["own h saves, to", *(KINDS[kind] for kind in saves)],
            ["bits an image (95 %)", *(_told(values) for values in saves.values())],
            ["of images", *(f"{100 * v['share_of_images']:.1f} %" for v in saves.values())],
        ]
    )
    bounds = {"I(x; h) ≥": numbers["lower_bound"], "I(x; label) ≥": numbers["label_lower_bound"]}
    bounds = {name: bound for name, bound in bounds.items() if bound}
    lower = aligned(
        [
            ["lower bound", *bounds],
            ["bits (95 %)", *(told(bound) for bound in bounds.values())],
            ["at most", *(f"{bound['ceiling']:.2f}" for bound in bounds.values())],
            ["images", *(str(bound["images"]) for bound in bounds.values())],
        ]
    )
    parts = numbers["sensitivity"]["parts"][:PARTS]
    sensitive = aligned(
        [
            ["sensitivity to", *(part["name"] for part in parts)],
            ["bits an image (95 %)", *(_told(part) for part in parts)],
            ["of h's variance", *(f"{100 * part['share_of_variance']:.1f} %" for part in parts)],
        ]
    )
    texts = [head, kinds, lower, sensitive]
    if numbers["masked"]:
        texts.append(_masked(numbers["masked"]))
    return "\n".join([*texts, notes_text(notes(found))])


def notes(found: OwnInformation) -> list[str]:
    """What the numbers are, and what they are not."""
    saves, masked = found.numbers["saves"], found.numbers["masked"]
    first = next(iter(saves.values()))
    said = [
        f"own h saves: by one decoder, paired by image; {first['interval']}. To another image's h "
        "or to the mean h it is a **control, not information**: the decoder never learnt to code "
        "without its h, and the wrong h misleads it. It must be above 0.",
    ]
    if "without" in saves:
        said.append(
            "to a decoder without h: *usable* information, CE(x) − CE(x|h) of decoders of one "
            "family and budget, if theirs are (Xu et al. 2020, arXiv:2002.10689); no bound of the "
            "mutual information, which for a deterministic encoder is H(h) and says nothing. An "
            "unconditional decoder lacks the maps that tell positions apart, too."
        )
    said += [
        "lower bound: E log₂ q(x|h) / mean_j q(x|h_j) over candidates j, own h included (for "
        "labels, over all of them by their frequency), with Student's interval over groups of "
        "images that share candidates: **a true lower bound** of the mutual information, and at "
        "most log₂ of the candidates' number; at its ceiling it says no more.",
        "sensitivity: what an image costs more when this part of its h is another image's. Such "
        "h need not be any image's, so it is no information.",
    ]
    if masked:
        said.append(
            "masked: a decoder that was trained with random coordinates hidden, against itself: "
            "CE(x|h without the coordinate) − CE(x|h)."
        )
    return said


def picture(found: OwnInformation) -> Any:
    """The maps of every kind over some images, as a matplotlib Figure.

    Raises ValueError where the decoder has no likelihood of sub-pixels, and so no maps.
    """
    if "image" not in found.arrays:
        raise ValueError("this decoder has no likelihood of sub-pixels, so there are no maps")
    rows = [
        Row(
            f"to {KINDS[kind]}",
            found.arrays[f"saved_{kind}"],
            found.arrays[f"shown_{kind}"],
            found.numbers["saves"][kind]["cumulative"],
        )
        for kind in found.kinds
    ]
    images = torch.from_numpy(found.arrays["image"])
    return overlays(rows, images, levels=int(found.arrays["levels"]))


def _masked(masked: dict[str, Any]) -> str:
    parts = masked["coordinates"][:PARTS]
    return aligned(
        [
            ["masked", "all of h", *(part["name"] for part in parts)],
            ["bits an image (95 %)", _told(masked["against_own_null"]), *map(_told, parts)],
        ]
    )


def _told(value: dict[str, Any]) -> str:
    return bits_text(value["bits"], value["low"], value["high"])
