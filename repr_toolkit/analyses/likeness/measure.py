"""The likeness of a run's portraits, beside the real faces that give the numbers their meaning."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repr_toolkit.analyses.base import needs_encoder_and_decoder, needs_keys
from repr_toolkit.analyses.likeness.matching import (
    Codes,
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
from repr_toolkit.faces.encode import facenet_of
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.models.pairs import unit_vectors
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.sampling.draw import decode

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
    shown: int = SHOWN,
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Draw `n` portraits of people of a split at each temperature, and match them with N people.

    The people are those with at least two photographs; each is drawn from the stored embedding of
    the first. Faces are embedded twice: by the FaceNet that made the stored embeddings (of these
    `weights`, as for `facenet_of`), and by `whitened_pixels`, which knows nothing of it. They are
    matched with the stored embeddings of the first photographs, and for the second embedder with
    its own of their images. `nearest_training_image` are mean distances in pixels, root mean
    squares of intensities in [0, 1]; portraits much nearer than real images would be copies.

    `pictures`, uint8 (people, n + 3, C, H, W), are those of the first `shown` people, a row each:
    the photograph, the portraits of the first temperature, the training image nearest to the first
    of them in pixels, and the training face nearest in embedding.

    Raises ValueError for data without embeddings or identities or with too few images of each
    person, and for a split that is missing; and as `facenet_of` does.
    """
    model = load_with_decoder(run)
    facenet = facenet_of(model, weights)
    data = run.load_data()
    images, train = data.split(split), data.splits["train"]
    for key in ("embedding", "identity"):
        if key not in images.keys:
            raise ValueError(f"likeness needs {key!r} in the data; {data.name} has none")
    second = whitened_pixels(data)
    batch, other = (images[places] for places in choose_people(images, people))
    count = len(batch["image"])
    gallery = unit_vectors(batch["embedding"].numpy())  # (N, d)
    training_faces = unit_vectors(train.column("embedding").numpy())
    hard = hardest(gallery)
    person = np.arange(count)
    second_gallery = embed_faces(second, batch["image"])

    def embed(faces: Tensor) -> Tensor:
        embedding: Tensor = facenet(faces.to(model.device))
        return embedding

    def row(
        faces: str, drawn: Tensor, whose: Codes = person, by_second: bool = True
    ) -> dict[str, Any]:
        similarity = embed_faces(embed, drawn, progress=progress) @ gallery.T
        result = {"faces": faces, "match": match(similarity, whose, hard, seed=seed)}
        if not by_second:
            return {**result, "second": None}
        similarity = embed_faces(second, drawn) @ second_gallery.T
        return {**result, "second": match(similarity, whose, hard, seed=seed)}

    h = encode_batch(model, batch)
    noise = common_noise(model.decoder, count * n, seed).unflatten(0, (count, n))
    rows, portraits = [], []
    for temperature in temperatures:
        drawn = decode(model.decoder, h, noise, temperature=temperature, progress=progress)
        portraits.append(drawn)
        rows.append(row(f"portraits, T = {temperature:g}", drawn.flatten(0, 1), person.repeat(n)))
    most_similar = similar_faces(gallery, training_faces, [0] * count)
    among = min(SIMILAR, len(training_faces))
    ranks = np.random.default_rng(seed).integers(0, among, count).tolist()
    similar = similar_faces(gallery, training_faces, ranks)
    rows += [
        row("the photograph itself", batch["image"], by_second=False),
        row("another photograph of them", other["image"]),
        row("the most similar training face", train[most_similar.tolist()]["image"]),
        row(f"one of the {among:,} most similar", train[similar.tolist()]["image"]),
    ]
    first = portraits[0]
    trained = train[range(len(train))]["image"]
    in_pixels, distance = nearest_images(first.flatten(0, 1), trained, data.levels)
    _, real = nearest_images(batch["image"], trained, data.levels)
    nearest = trained[in_pixels.reshape(count, n)[:, 0]]
    beside = [batch["image"][:, None], first, nearest[:, None], trained[most_similar][:, None]]
    pictures = torch.cat([part[:shown] for part in beside], dim=1).numpy()
    asked = {"split": split, "people": count, "n": n, "seed": seed, "temperatures": [*temperatures]}
    distances = {"portraits": float(distance.mean()), "real": float(real.mean())}
    numbers = {
        "run": str(run.path),
        "data": data.name,
        **asked,
        "rows": rows,
        "nearest_training_image": distances,
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
        rows = images.flatten(1).numpy().astype(np.float32) / (data.levels - 1)
        return torch.from_numpy(transform(rows))

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
