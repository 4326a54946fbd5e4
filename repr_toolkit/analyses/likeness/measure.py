"""The likeness of a run's portraits, beside the real faces that give the numbers their meaning."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.likeness.matching import (
    Floats,
    Match,
    Share,
    choose_people,
    embed_faces,
    hardest,
    match,
    nearest_images,
    similar_faces,
)
from repr_toolkit.analyses.verification.baselines import class_whitened_pca, training_pixels
from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.models.pairs import LEAST_PEOPLE
from repr_toolkit.sampling.draw import decode

if TYPE_CHECKING:
    from rich.table import Table

    from repr_toolkit.models.autoencoder import EncoderDecoder

SIMILAR = 1500  # training faces among which "a similar face" is drawn

Embed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """Faces of one kind, matched by the embedding that they were drawn from, and by a second."""

    faces: str
    match: Match
    second: Match | None
    """None for the second embedder where the faces are its gallery itself."""


@dataclass(frozen=True)
class Report:
    """What `likeness` measures.

    `nearest` is the mean distance of portraits (the first temperature's) to their nearest
    training image in pixels, `nearest_of_real` that of the people's real images: root mean
    squares of intensities in [0, 1]. Portraits much nearer than real images would be copies.
    """

    rows: list[Row]
    nearest: float
    nearest_of_real: float
    pictures: Tensor
    """Of each person the photograph, the portraits of the first temperature, the first portrait's
    nearest training image in pixels, and the training face nearest in embedding:
    uint8 (N, n + 3, C, H, W)."""

    def as_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "nearest_training_image": {"portraits": self.nearest, "real": self.nearest_of_real},
        }


def likeness(
    model: "EncoderDecoder",
    data: ImageData,
    embed: Embed,
    second: Embed,
    *,
    split: str = "test",
    people: int | None = None,
    n: int = 4,
    temperatures: Sequence[float] = (1.0,),
    seed: int = 0,
    progress: bool = False,
) -> Report:
    """Draw ``n`` portraits of people of a split at each temperature, and match them with N people.

    The people are those with at least two photographs; each is drawn from the stored embedding
    of the first. ``embed`` and ``second`` make embeddings of images uint8 (B, C, H, W); ``embed``
    is the encoder that made the stored ones, ``second`` knows nothing of it. Faces are matched
    with the stored embeddings of the first photographs, and for ``second`` with its own of their
    images. Raises ValueError for data without embeddings or identities, or a split that is
    missing.
    """
    images, train = data.split(split), data.splits["train"]
    for key in ("embedding", "identity"):
        if key not in images.keys:
            raise ValueError(f"likeness needs {key!r} in the data; {data.name} has none")
    sources = choose_people(images, people)
    batch, other = images[sources.first], images[sources.second]
    count = len(sources.first)
    gallery = _unit(batch["embedding"])  # (N, d)
    in_training = _unit(train.column("embedding"))
    hard = hardest(gallery)
    person = np.arange(count)
    second_gallery = embed_faces(second, batch["image"])

    def row(faces: str, drawn: Tensor, of: np.ndarray = person, itself: bool = False) -> Row:
        first = embed_faces(embed, drawn, progress=progress) @ gallery.T
        by_second = None
        if not itself:
            by_second = match(embed_faces(second, drawn) @ second_gallery.T, of, hard, seed=seed)
        return Row(faces, match(first, of, hard, seed=seed), by_second)

    h = encode_batch(model, batch)
    noise = common_noise(model.decoder, count * n, seed).unflatten(0, (count, n))
    rows, portraits = [], []
    for temperature in temperatures:
        drawn = decode(model.decoder, h, noise, temperature=temperature, progress=progress)
        portraits.append(drawn)
        rows.append(row(f"portraits, T = {temperature:g}", drawn.flatten(0, 1), person.repeat(n)))
    nearest = similar_faces(gallery, in_training, [0] * count)
    among = min(SIMILAR, len(in_training))
    ranks = np.random.default_rng(seed).integers(0, among, count).tolist()
    similar = similar_faces(gallery, in_training, ranks)
    rows += [
        row("the photograph itself", batch["image"], itself=True),
        row("another photograph of the person", other["image"]),
        row("the most similar training face", train[nearest.tolist()]["image"]),
        row(f"one of the {among:,} most similar", train[similar.tolist()]["image"]),
    ]
    first = portraits[0]
    trained = train[range(len(train))]["image"]
    in_pixels, distance = nearest_images(first.flatten(0, 1), trained, data.levels)
    _, real = nearest_images(batch["image"], trained, data.levels)
    pictures = torch.cat(
        [
            batch["image"][:, None],
            first,
            trained[in_pixels.reshape(count, n)[:, 0]][:, None],
            trained[nearest][:, None],
        ],
        dim=1,
    )
    return Report(rows, float(distance.mean()), float(real.mean()), pictures)


def whitened_pixels(data: ImageData) -> Embed:
    """An embedder of images that owes nothing to a face net: `class_whitened_pca` of the pixels.

    Fitted on the training people. Raises ValueError where they have too few images for it.
    """
    transform = class_whitened_pca(*training_pixels(data))
    if transform is None:
        raise ValueError(f"{data.name}: the training people have too few images each to whiten")

    def embed(images: Tensor) -> Tensor:
        rows = images.flatten(1).numpy().astype(np.float32) / (data.levels - 1)
        return torch.from_numpy(transform(rows))

    return embed


def table(report: Report) -> "Table":
    """The report for a terminal, of 80 columns or more, a dash where there is no interval."""
    from rich.table import Table

    people = report.rows[0].match.people
    found = Table(
        title=f"likeness, {people} people",
        title_justify="left",
        box=None,
        padding=(0, 1, 1, 0),
        pad_edge=False,
    )
    found.add_column("faces", min_width=18)
    for title in ("AUC", f"rank 1\nof {people}", "AUC,\nhard", "second,\nAUC", "second,\nhard"):
        found.add_column(title, justify="right", min_width=len("0.500–0.500"))
    for row in report.rows:
        shares = [row.match.auc, row.match.rank_1, row.match.auc_hard]
        if row.second is not None:
            shares += [row.second.auc, row.second.auc_hard]
        texts = [f"{share.value:.3f}\n{_interval(share)}" for share in shares]
        found.add_row(row.faces, *texts, *["–"] * (5 - len(texts)))
    if people < LEAST_PEOPLE:
        found.caption = (
            f"–: no interval, since fewer than {LEAST_PEOPLE} people cannot say how much others "
            f"might differ"
        )
        found.caption_justify = "left"
    return found


def _interval(share: Share) -> str:
    return "–" if share.interval is None else "{:.3f}–{:.3f}".format(*share.interval)


def _unit(embedding: Tensor) -> Floats:
    vectors = embedding.double().numpy()
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
