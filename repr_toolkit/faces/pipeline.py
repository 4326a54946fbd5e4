"""From a folder of photographs to a data file: faces, identities, embeddings and landmarks."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from repr_toolkit.data.cache import file_stamp
from repr_toolkit.data.splits import complete_splits
from repr_toolkit.data.walk import Skipped
from repr_toolkit.encoders import FaceNet
from repr_toolkit.faces.crops import crop_face, training_image
from repr_toolkit.faces.detection import CERTAIN, Detector, Face, detect_upright
from repr_toolkit.faces.photographs import Unusable, find_photographs, read_photograph
from repr_toolkit.models.precision import exactly
from repr_toolkit.support.chunks import Array, Chunks
from repr_toolkit.support.files import Rows, csv_text, require_writable, write_text
from repr_toolkit.support.fill import fill
from repr_toolkit.support.speech import either

SETTINGS = ("several", "image_size", "image_margin", "batch_size")  # that decide the result
LEAST_FACES = 3  # faces of one person that can be split into train, val and test
PIXELS = 16_000_000  # pixels of the photographs in memory: 48 MB, or one that is larger


class EmbeddedFace(NamedTuple):
    """A face and what FaceNet makes of it.

    Attributes:
        embedding: float32 (512,), a unit vector.
        face: What FaceNet saw, uint8 (3, 160, 160).
        image: The face as `training_image` cuts it, uint8 (3, image_size, image_size).
        faces_found: The number of faces in the photograph, of which this one was chosen.
        turned: The degrees, counterclockwise, by which the photograph was turned first.
        probability: The detector's.
    """

    embedding: Tensor
    face: Tensor
    image: Tensor
    faces_found: int
    turned: int
    probability: float


@dataclass(frozen=True)
class Report:
    """What became of a folder's photographs.

    Attributes:
        faces: The number of faces that were written.
        people: The number of people whose faces they are.
        several: The number of photographs with several faces, of which one was taken.
        turned: The photographs that lay on their side or upside down, each with the degrees,
            counterclockwise, by which it was turned.
        uncertain: The photographs whose face the detector is not certain of, each with its
            probability, the least certain first.
        skipped: The photographs that are not in the file, each with the reason.
        others: The other files and folders that are left out, each with the reason.
    """

    faces: int
    people: int
    several: int
    turned: list[tuple[str, int]]
    uncertain: list[tuple[str, float]]
    skipped: list[tuple[str, str]]
    others: list[Skipped]


def embed_photograph(
    path: str | Path,
    detector: Detector,
    facenet: FaceNet,
    *,
    several: str = "take",
    image_size: int = 32,
) -> EmbeddedFace:
    """The face in one photograph and its embedding, on the CPU.

    Raises ValueError, naming the file and the reason, for a photograph that cannot be read, shows
    no face, or shows several where `several` is "skip"; FileNotFoundError for a missing file.
    """
    try:
        photograph = read_photograph(Path(path))
    except Unusable as error:
        raise ValueError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no photograph {path}") from error
    with exactly():
        [(photograph, face)] = detect_upright(detector, [photograph])
        if isinstance(face, str):
            raise ValueError(f"{path}: {face}")
        if face.count > 1 and several == "skip":
            raise ValueError(f"{path}: {face.count} faces in one photograph")
        crop = crop_face(photograph, face)
        embedding = _embed(facenet, crop[None])[0]
        image, _ = training_image(photograph, face, image_size)
    made = torch.from_numpy(embedding), torch.from_numpy(crop), torch.tensor(image)
    return EmbeddedFace(*made, face.count, face.turned, face.probability)


@dataclass(eq=False)
class FaceJob:
    """The photographs of a folder and the .npz to be made of them; `run` does the work.

    Each sub-folder is a person, named by its path in the folder, or in that of a split where
    folders are splits (see `read_layout`, which also says what is left out). Of a photograph with
    several faces the detector's choice is taken, or none if `several` is "skip". `image_size` and
    `image_margin` are those of `training_image`.

    Raises FileNotFoundError or NotADirectoryError for a missing folder; FileExistsError where
    `out` exists, without `overwrite`; ValueError for a folder without photographs, with photographs
    both in it and in sub-folders, or of one person only, unless `allow_one_identity`, for an `out`
    that does not end in .npz, and for a number out of range.
    """

    folder: Path
    out: Path
    _: KW_ONLY
    image_size: int = 32
    image_margin: float = 0.0
    several: str = "take"
    batch_size: int = 32
    overwrite: bool = False
    allow_one_identity: bool = False

    def __post_init__(self) -> None:
        if self.several not in ("take", "skip"):
            raise ValueError(f"several is take or skip, not {self.several!r}")
        if self.image_size < 1 or self.batch_size < 1 or self.image_margin <= -1:
            raise ValueError(
                f"image_size = {self.image_size} and batch_size = {self.batch_size} must be at "
                f"least 1, image_margin = {self.image_margin} above −1"
            )
        if self.out.suffix != ".npz":
            raise ValueError(f"faces are written to an .npz file, not to {self.out}")
        self.layout = find_photographs(self.folder)
        files = (path.relative_to(self.folder) for path in self.layout.files)
        self.names = sorted(path.as_posix() for path in files)
        require_writable(self.out, "the data file", overwrite=self.overwrite)
        self.people = sorted({self.identity(name) for name in self.names})
        if len(self.people) == 1 and not self.allow_one_identity:
            raise ValueError(
                f"{self.folder} holds photographs of one identity only, {self.people[0]!r}, which "
                f"cannot be split by person: give a folder with a sub-folder for each person, or "
                f"allow it ({either('--allow-one-identity', 'allow_one_identity=True')})"
            )

    @property
    def skipped_file(self) -> Path:
        """The list of the files that were skipped, beside the .npz."""
        return self.out.with_suffix(".skipped.csv")

    def identity(self, name: str) -> str:
        """Whose photograph this is, by the folder it lies in."""
        parent = (self.folder / name).relative_to(self.layout.root).parent
        if self.layout.split_folders:
            parent = Path(*parent.parts[1:])
        return str(parent) if parent.parts else self.layout.root.resolve().name

    def split(self, name: str) -> str:
        """The split of a photograph, by the folder it lies in."""
        place = (self.folder / name).relative_to(self.layout.root).parts[0]
        return {folder: split for split, folder in self.layout.split_folders.items()}[place]

    def run(
        self,
        detector: Detector,
        facenet: FaceNet,
        *,
        resume: bool = False,
        progress: bool = False,
    ) -> Report:
        """Make the .npz, and beside it a list of what was skipped, NAME.skipped.csv.

        The .npz holds, for N faces in the order of the photographs' paths, `image` uint8
        (N, 3, s, s), `identity` and `photo` strings (N,), `embedding` float32 (N, 512), unit
        vectors, `landmarks` float32 (N, 5, 2) in pixels of the image, x before y (see
        `training_image`), and `encoder`, a string, FaceNet's `identity`. How each face was found
        say `face_box` float32 (N, 4), left, top, right and bottom in pixels of the photograph,
        `face_probability` float32 (N,), the detector's, and `face_turned` int64 (N,), the degrees,
        counterclockwise, by which the photograph was turned first. It has `split`, strings (N,),
        where folders are splits, and for three or more faces of one person alone, by photograph;
        otherwise the data loader splits by person.

        Chunks of `batch_size` photographs are kept in NAME.parts until all are done. With `resume`
        a job that was cut short goes on from them, and ends in the same bytes. Raises
        FileExistsError where there are chunks, without `resume`, and ValueError where they are of
        another job or no photograph has a usable face.
        """
        job = {
            "folder": str(self.folder.resolve()),
            "photographs": file_stamp(self.folder.resolve() / name for name in self.names),
            "encoder": facenet.identity,
            "select": detector.select,
            "min_face_size": detector.min_face_size,
            **{name: getattr(self, name) for name in SETTINGS},
        }
        side = self.image_size
        rows: dict[str, np.dtype[Any]] = {
            "image": np.dtype((np.uint8, (3, side, side))),
            "identity": np.array(self.people).dtype,
            "photo": np.array(self.names).dtype,
            "embedding": np.dtype((np.float32, (512,))),
            "landmarks": np.dtype((np.float32, (5, 2))),
            "face_box": np.dtype((np.float32, (4,))),
            "face_probability": np.dtype(np.float32),
            "face_turned": np.dtype(np.int64),
        }
        chunks = Chunks(self.out, job, len(self.names), self.batch_size, rows)
        try:
            with exactly():
                make = partial(self._process, detector, facenet)
                fill(chunks, make, "faces", resume=resume, progress=progress)
            report = self._report(chunks)
            if report.faces:
                self._join(chunks, report, facenet.identity)
            chunks.remove()
        finally:
            chunks.unlock()
        if not report.faces:
            raise ValueError(
                f"none of the {len(self.names)} photographs in {self.folder} has a face that can "
                f"be used; {self.skipped_file} says why"
            )
        return report

    def _process(
        self,
        detector: Detector,
        facenet: FaceNet,
        photographs: range,
        done: Callable[[float], None],
    ) -> dict[str, Array]:
        """The chunk of these photographs."""
        names = self.names[photographs.start : photographs.stop]
        faces: list[tuple[str, Face, NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        skipped: dict[str, str] = {}
        several = 0
        waiting: dict[str, Image.Image] = {}
        for number, name in enumerate(names, 1):
            try:
                waiting[name] = read_photograph(self.folder / name)
            except FileNotFoundError:
                skipped[name] = "unreadable: it was removed meanwhile"
            except Unusable as error:
                skipped[name] = str(error)
            pixels = sum(photograph.width * photograph.height for photograph in waiting.values())
            if pixels < PIXELS and number < len(names):
                continue
            detected = detect_upright(detector, list(waiting.values()))
            for photo, (photograph, face) in zip(waiting, detected, strict=True):
                if isinstance(face, str):
                    skipped[photo] = face
                elif face.count > 1 and self.several == "skip":
                    skipped[photo] = "several faces"
                else:
                    several += face.count > 1
                    image = training_image(photograph, face, self.image_size, self.image_margin)
                    faces.append((photo, face, crop_face(photograph, face), *image))
            waiting.clear()
            done(number / len(names))
        side = self.image_size
        photos, found, crops, images, landmarks = zip(*faces, strict=True) if faces else [()] * 5
        return {
            "image": np.array(images, np.uint8).reshape(-1, 3, side, side),
            "identity": np.array([self.identity(name) for name in photos], str),
            "photo": np.array(photos, str),
            "embedding": _embed(facenet, np.stack(crops))
            if faces
            else np.empty((0, 512), np.float32),
            "landmarks": np.array(landmarks, np.float32).reshape(-1, 5, 2),
            "face_box": np.array([face.box for face in found], np.float32).reshape(-1, 4),
            "face_probability": np.array([face.probability for face in found], np.float32),
            "face_turned": np.array([face.turned for face in found], np.int64),
            "skipped": np.array(sorted(skipped.items()), str).reshape(-1, 2),
            "several": np.array(several),
        }

    def _report(self, chunks: Chunks) -> Report:
        """Write the list of what was skipped, and count what the chunks hold."""
        skipped = [tuple(row) for rows in chunks.column("skipped") for row in rows.tolist()]
        if every := [*skipped, *self.layout.skipped]:
            text = csv_text([{"file": file, "reason": reason} for file, reason in every])
            write_text(self.skipped_file, text)
        else:
            self.skipped_file.unlink(missing_ok=True)  # an earlier one's
        photos = [photo for names in chunks.column("photo") for photo in names.tolist()]
        degrees = [turned for rows in chunks.column("face_turned") for turned in rows.tolist()]
        certainty = [each for rows in chunks.column("face_probability") for each in rows.tolist()]
        uncertain = [pair for pair in zip(photos, certainty, strict=True) if pair[1] < CERTAIN]
        return Report(
            faces=len(photos),
            people=len({name for names in chunks.column("identity") for name in names.tolist()}),
            several=sum(map(int, chunks.column("several"))),
            turned=[pair for pair in zip(photos, degrees, strict=True) if pair[1]],
            uncertain=sorted(uncertain, key=lambda pair: pair[1]),
            skipped=skipped,
            others=[*self.layout.skipped],
        )

    def _join(self, chunks: Chunks, report: Report, encoder: str) -> None:
        """Write the .npz, with no more than a chunk in memory."""
        arrays: dict[str, Array | Rows] = {
            key: Rows(row.base, (report.faces, *row.shape), chunks.column(key))
            for key, row in chunks.rows.items()
        }
        arrays["encoder"] = np.array(encoder)
        if self.layout.split_folders:
            photos = np.concatenate([*chunks.column("photo")])
            arrays["split"] = np.array([self.split(name) for name in photos.tolist()])
        elif report.people == 1 and self.allow_one_identity and report.faces >= LEAST_FACES:
            arrays["split"] = _by_photograph(self.out, report.faces)
        chunks.join(arrays)


def _embed(facenet: FaceNet, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    device = next(facenet.parameters()).device
    embedding: NDArray[np.float32] = facenet(torch.from_numpy(crops).to(device)).cpu().numpy()
    return embedding


def _by_photograph(out: Path, count: int) -> NDArray[np.str_]:
    """A split by photograph of the faces of one person, who cannot be split by person."""
    split = np.empty(count, "<U5")
    for name, rows in complete_splits(str(out), {"train": np.arange(count)}).items():
        split[rows] = name
    return split
