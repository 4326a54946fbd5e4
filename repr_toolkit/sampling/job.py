"""Any number of images, drawn from a model into one file."""

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from repr_toolkit.data import ImageData
from repr_toolkit.decoders.noise import common_noise
from repr_toolkit.encoders.state import weights_digest
from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.encode import encode_batch
from repr_toolkit.models.temperatures import scales_noise, temperature_rows
from repr_toolkit.support.choose import choose_evenly
from repr_toolkit.support.chunks import Array, Chunks
from repr_toolkit.support.console import say
from repr_toolkit.support.files import Rows, refuse_unwritable
from repr_toolkit.support.fill import fill
from repr_toolkit.support.pictures import image_grid, write_png

SHOWN = 100  # images in the picture of a job


class SamplingJob:
    """Images to be drawn from a model, and all that decides them.

    - A model without encoder gives `n` images, image i by the noise of draw i.
    - An encoder of labels, given `labels`, gives `n` for each, label after label; image j of each
      label has the noise of draw j.
    - Any other encoder gives `n` images, image i by the noise of draw i, from the h of images of a
      `split` of `data`: of `n` images spread evenly over the split or, where n is larger, of all in
      turn, again and again.

    An image follows from the model, its label or its image of the split, `seed` (see
    `common_noise`), `temperature` and `engine` ("auto" becomes the one it picks here): exactly in
    float64, in float32 until a noise value lies within rounding of an edge of the CDF. Another
    machine, number of threads or `chunk_size` (the images that are drawn at once) may round
    otherwise, which changes an image now and then.

    Raises ValueError for numbers below one, labels that the model cannot be given, a split that
    the data lack, and an engine that the model lacks or that does not work here.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        n: int,
        *,
        data: ImageData | None = None,
        split: str = "test",
        labels: Sequence[int] | None = None,
        seed: int = 0,
        temperature: float = 1.0,
        engine: str = "auto",
        chunk_size: int = 256,
    ) -> None:
        if n < 1 or chunk_size < 1:
            raise ValueError(f"n = {n} and chunk_size = {chunk_size} must be at least 1")
        if labels is not None:
            if model.encoder is None:
                raise ValueError("the model has no encoder, so there are no labels to sample")
            if model.encoder.source != "label":
                raise ValueError(
                    f"the model's encoder reads {model.encoder.source!r}, not labels; leave the "
                    f"labels out to sample from the h of held-out images"
                )
        elif model.encoder is not None and data is None:
            raise ValueError("a model with an encoder is sampled given labels or images of data")
        self.model = model
        self.n = n
        self.count = n if labels is None else n * len(labels)
        self.seed = seed
        self.temperature = temperature
        self.engine = model.decoder.choose_engine(engine)
        self.chunk_size = chunk_size
        origin: dict[str, Any] = {}
        self._key: str | None = None  # "label" or "index", that of an image of the split
        if labels is not None:
            self._key, self._values = "label", np.array(labels, np.int64)
            origin = {"labels": list(labels)}
            given = torch.from_numpy(self._values)
            if require := getattr(model.encoder, "require", None):
                require(given)
            encode_batch(model, {"label": given})
        elif data is not None and model.encoder is not None:
            self._split = data.split(split)
            self._key = "index"
            self._values = np.array(choose_evenly(len(self._split), n), np.int64)
            origin = {"split": split, "data": data.fingerprint}
        self.settings: dict[str, Any] = {
            "n": n,
            **origin,
            "seed": seed,
            "temperature": temperature,
            "engine": self.engine,
            "chunk_size": chunk_size,
            "model": fingerprint(model),
        }

    def run(
        self,
        out: Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        rank: int = 0,
        **how: Any,
    ) -> None:
        """Draw the images into `out`, an .npz, or a .png of the first with the .npz beside it.

        Where temperatures scale the noise, the picture's last row is the first image at
        temperatures from 0 to 1, evenly spaced, which is said; the .npz has none of that row.

        The .npz holds `image`, uint8 (N, C, H, W); `levels`; `label`, or the `index` in the split
        of the image that h is of, int64 (N,); and `job`, the settings as JSON. Finished chunks are
        kept beside it, in NAME.parts, until it stands, and memory holds a chunk or two, however
        many there are. `resume` goes on with a job that was cut short, and gives a finished one
        only the picture that it lacks.

        Several processes, `rank` of `world` and on any machines with that folder, share the chunks;
        the first joins them. `how` are `world` and the further arguments of `fill`. Raises what
        `fill`, `refuse_unwritable` and the decoder's `sample` raise.
        """
        rows = {"image": np.dtype((np.uint8, self.model.decoder.image_shape))}
        chunks = Chunks(out.with_suffix(".npz"), self.settings, self.count, self.chunk_size, rows)
        # A further process that comes when all is joined has nothing to do, and no error to raise.
        finished = chunks.finished and (resume or (rank > 0 and not overwrite))
        refuse_unwritable(out, overwrite=overwrite or finished)
        if rank == 0 and finished and chunks.begun:  # killed before the picture or the removal
            chunks.take_up(resume=True)
        try:
            if not finished:
                fill(chunks, self.draw, "sampling", resume=resume, rank=rank, **how)
                finished = not chunks.begun  # joined by a second start, then
            if rank > 0:
                return
            if not finished:
                chunks.join(self._arrays(chunks))
            # A picture beside chunks may be older than the .npz.
            if out.suffix == ".png" and (chunks.begun or not out.exists()):
                self._save_picture(out, chunks)
            chunks.remove()
        finally:
            chunks.unlock()

    def draw(
        self, images: range, progress: Callable[[float], None] = lambda done: None
    ) -> dict[str, Array]:
        """The chunk of these images: `image`, uint8 (len(images), C, H, W)."""
        decoder, h = self.model.decoder, self._h(images)
        drawn = decoder.sample(
            h,
            len(images) if h is None else None,
            noise=common_noise(decoder, [image % self.n for image in images], self.seed),
            temperature=self.temperature,
            engine=self.engine,
            progress=progress,
        )
        return {"image": drawn.cpu().numpy()}

    def _arrays(self, chunks: Chunks) -> dict[str, Array | Rows]:
        """What the .npz holds, from chunks that are complete."""
        shape = (self.count, *self.model.decoder.image_shape)
        origin = {self._key: self._origin(range(self.count))} if self._key else {}
        return {
            "image": Rows(np.dtype(np.uint8), shape, chunks.column("image")),
            **origin,
            "levels": np.array(self.model.decoder.levels),
            "job": np.array(chunks.job),
        }

    def _h(self, images: range) -> Tensor | None:
        if self._key is None:
            return None
        origin = self._origin(images)
        if self._key == "label":
            return encode_batch(self.model, {"label": torch.from_numpy(origin)})
        return encode_batch(self.model, self._split[origin.tolist()])

    def _origin(self, images: range) -> NDArray[np.int64]:
        """The label or the index that each of these images is drawn from, int64 (len(images),)."""
        numbers = np.array(images)
        each = numbers // self.n if self._key == "label" else numbers % len(self._values)
        origin: NDArray[np.int64] = self._values[each]
        return origin

    def _save_picture(self, out: Path, chunks: Chunks) -> None:
        shown, columns = self._layout()
        decoder = self.model.decoder
        images = torch.from_numpy(chunks.take("image", shown))
        if scales_noise(decoder):
            row = temperature_rows(decoder, self._h(range(1)), columns, self.seed)[0]
            blank = -len(images) % columns
            white = row.new_full((blank, *row.shape[1:]), decoder.levels - 1)
            images = torch.cat([images, white, row])
            say(f"the last row of {out} is the first image at temperatures from 0 to 1")
        write_png(
            out,
            image_grid(images, columns=columns, levels=decoder.levels, **self._names(columns)),
        )

    def _names(self, columns: int) -> dict[str, list[str]]:
        """Of the columns and rows of the picture: each row is a label's, or of some numbers."""
        shown, _ = self._layout()
        if self._key == "label":
            rows = [f"label {value}" for value in self._values[: len(shown) // columns]]
        else:
            ends = [(first, min(first + columns, len(shown)) - 1) for first in shown[::columns]]
            rows = [f"{a}–{b}" if b > a else f"{a}" for a, b in ends]
        if scales_noise(self.model.decoder):
            rows.append("T 0…1")
        each = [str(number) for number in range(1, columns + 1)] if self._key == "label" else []
        return {"column_names": each, "row_names": rows}

    def _layout(self) -> tuple[list[int], int]:
        """The numbers of the images to show, and the number of columns; each label has its row."""
        if self._key != "label":
            shown = min(self.count, SHOWN)
            return list(range(shown)), ceil(sqrt(shown))
        labels = min(len(self._values), SHOWN)
        columns = min(self.n, SHOWN // labels)
        return [label * self.n + j for label in range(labels) for j in range(columns)], columns


def fingerprint(model: nn.Module) -> str:
    """SHA-256 (hex) of a model's classes and weights."""
    classes = [
        f"{name} {type(module).__module__}.{type(module).__qualname__}"
        for name, module in model.named_modules()
    ]
    return weights_digest(model, "\n".join(classes))
