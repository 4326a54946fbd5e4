"""The likeness of a run's portraits, beside the real faces that give the numbers their meaning."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.base import needs_encoder_and_decoder, needs_keys
from repr_toolkit.analyses.likeness.copies import nearness
from repr_toolkit.analyses.likeness.matching import (
    LOOKALIKE,
    OTHER,
    PIXELS,
    SAME,
    Codes,
    Floats,
    choose_people,
    closeness,
    embed_faces,
    hardest,
    match,
    nearest_images,
    similar_faces,
)
from repr_toolkit.analyses.verification.baselines import class_whitened_pca, training_pixels
from repr_toolkit.data import ImageData
from repr_toolkit.data.images import intensities
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.faces.encode import facenet_of, other_facenet
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.models.pairs import unit_vectors
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode
from repr_toolkit.support.stats import mean

SIMILAR = 1500  # training faces among which "a similar face" is drawn
SHOWN = 12  # people whose pictures are kept

Embed = Callable[[Tensor], Tensor]


def measure(
    run: Run,
    split: str = "test",
    *,
    people: int | None = None,
    n: int = 4,
    temperatures: Sequence[float] = (1.0,),
    weights: str | None = None,
    judge: str | None = None,
    shown: int = SHOWN,
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Draw `n` portraits of people of a split at each temperature, and match them with N people.

    The people are those with at least two photographs; each is drawn from the stored embedding of
    the first. Faces are matched with the second photographs, the gallery `OTHER`: with the very
    photographs that h came from, the gallery `SAME`, pose, light and blur are matched too. They are
    embedded twice: by the FaceNet that made the stored embeddings (of these `weights`, as for
    `facenet_of`), and by one that knows nothing of it, `whitened_pixels` or the FaceNet of the
    weights `judge`, a name or a file. The gallery of the first has the stored embeddings of the
    photographs, that of the second its own of their images. `closer` says by how much the portraits
    are closer to the person than the training face that is most similar to the photograph, paired
    by person (`closeness`). `copies` says whether portraits, and real photographs, are nearer to
    training images than to as many images of other people (`Nearness`).

    `pictures`, uint8 (people, n + 3, C, H, W), are those of the first `shown` people, a row each:
    the photograph, the portraits of the first temperature, the training image nearest to the first
    of them in pixels, and the training face nearest in embedding.

    Raises ValueError for data without embeddings or identities or with too few images of each
    person, for a split that is missing, and for a `judge` that made the embeddings itself; and as
    `facenet_of` and `other_facenet` do.
    """
    model = load_with_decoder(run)
    facenet = facenet_of(model, weights)
    data = run.load_data()
    images, train = data.split(split), data.splits["train"]
    for key in ("embedding", "identity"):
        if key not in images.keys:
            raise ValueError(f"likeness needs {key!r} in the data; {data.name} has none")
    by_net = None if judge is None else other_facenet(facenet, judge)
    second = by_net or whitened_pixels(data)
    batch, other = (images[places] for places in choose_people(images, people))
    count = len(batch["image"])
    source = unit_vectors(batch["embedding"].numpy())  # (N, d)
    training_faces = unit_vectors(train.column("embedding").numpy())
    person = np.arange(count)
    galleries = {
        name: (unit_vectors(part["embedding"].numpy()), embed_faces(second, part["image"]))
        for name, part in ((OTHER, other), (SAME, batch))
    }

    def embed(faces: Tensor) -> Tensor:
        embedding: Tensor = facenet(faces.to(model.device))
        return embedding

    def rows_of(faces: str, drawn: Tensor, whose: Codes = person) -> list[dict[str, Any]]:
        """How the faces match each gallery, by either embedder."""
        embedded = embed_faces(embed, drawn, progress=progress), embed_faces(second, drawn)
        rows = []
        for gallery, known in galleries.items():
            hard = hardest(known[0])
            pairs = [e @ people.T for e, people in zip(embedded, known, strict=True)]
            first, other = (match(similarity, whose, hard) for similarity in pairs)
            rows.append({"faces": faces, "gallery": gallery, "match": first, "second": other})
            close[faces, gallery] = [closeness(similarity, whose) for similarity in pairs]
        return rows

    close: dict[tuple[str, str], list[Floats]] = {}  # by faces and gallery: of either embedder

    h = encode_batch(model, batch)
    noise = common_noise(model.decoder, count * n, seed).unflatten(0, (count, n))
    rows, portraits = [], []
    for temperature in temperatures:
        drawn = decode(model.decoder, h, noise, temperature=temperature, progress=progress)
        portraits.append(drawn)
        rows += rows_of(f"portraits, T = {temperature:g}", drawn.flatten(0, 1), person.repeat(n))
    most_similar = similar_faces(source, training_faces, [0] * count)
    among = min(SIMILAR, len(training_faces))
    ranks = np.random.default_rng(seed).integers(0, among, count).tolist()
    similar = similar_faces(source, training_faces, ranks)
    drawn_rows = [(row["faces"], row["gallery"]) for row in rows]
    rows += [
        *rows_of("the photograph itself", batch["image"]),
        *rows_of(LOOKALIKE, train[most_similar.tolist()]["image"]),
        *rows_of(f"one of the {among:,} most similar", train[similar.tolist()]["image"]),
    ]
    rows.sort(key=lambda row: row["gallery"] == SAME)
    closer = [
        {
            "faces": faces,
            "gallery": gallery,
            **{
                by: mean(ours - theirs, (person, "people"), "pairs")
                for by, ours, theirs in zip(
                    ("match", "second"),
                    close[faces, gallery],
                    close[LOOKALIKE, gallery],
                    strict=True,
                )
            },
        }
        for faces, gallery in sorted(drawn_rows, key=lambda row: row[1] == SAME)
    ]
    first = portraits[0]
    trained = train[range(len(train))]["image"]
    in_pixels, _ = nearest_images(first.flatten(0, 1), trained, data.levels)
    every = images[range(len(images))]
    whose, codes = every["identity"].numpy(), batch["identity"].numpy()
    copies = {
        faces: nearness(drawn, of_faces, trained, every["image"], whose, data.levels)
        for faces, drawn, of_faces in (
            ("portraits", first.flatten(0, 1), codes.repeat(n)),
            ("real", batch["image"], codes),
        )
    }
    nearest = trained[in_pixels.reshape(count, n)[:, 0]]
    beside = [batch["image"][:, None], first, nearest[:, None], trained[most_similar][:, None]]
    pictures = torch.cat([part[:shown] for part in beside], dim=1).numpy()
    asked = {"split": split, "people": count, "n": n, "seed": seed, "temperatures": [*temperatures]}
    asked["judge"] = by_net.identity if by_net else PIXELS
    numbers = {
        "run": str(run.path),
        "data": data.name,
        **asked,
        "rows": rows,
        "closer": closer,
        "copies": copies,
    }
    return Result(asked, numbers, {"pictures": pictures, "levels": np.asarray(data.levels)})


def whitened_pixels(data: ImageData) -> Embed:
    """An embedder of images that owes nothing to a face net: `class_whitened_pca` of the pixels.

    Fitted on the training people. Raises ValueError where they have too few images for it.
    """
    transform = class_whitened_pca(*training_pixels(data))
    if transform is None:
        raise ValueError(f"{data.name}: the training people have too few images each to whiten")

    def embed(images: Tensor) -> Tensor:
        return torch.from_numpy(transform(intensities(images.flatten(1), data.levels)))

    return embed


def obstacle(run: Run) -> str | None:
    """Why a run draws nobody whom a FaceNet could recognise, or None."""
    reason = needs_encoder_and_decoder(run)
    if reason is not None:
        return reason
    encoder = run.config["model"]["encoder"]
    made_by = encoder["init_args"].get("made_by") or ""
    if encoder["class_path"] != "repr_toolkit.encoders.FaceNet" and not made_by.startswith(
        "FaceNet "
    ):
        return "its h is not made by a FaceNet"
    return needs_keys(run, "embedding", "identity")
