"""A recipe to start from, for a folder of one's own photographs or other images."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repr_toolkit.data.splits import complete_splits, consecutive

if TYPE_CHECKING:
    from repr_toolkit.data.folder import Survey
    from repr_toolkit.data.picture_files import Header, Mode

BATCH = 16
PASSES, FEWEST, MOST = 100, 300, 3000
"""How often training sees each image, unless that makes fewer or more steps than these."""
VALIDATIONS = 10
FEW = 1000
"""The number of images of which fewer get networks of half the width."""
GREY = ("1", "L", "LA", "I")
"""How the modes of grey images begin, but for LAB."""
OF_PHOTOGRAPHS = {".jpg", ".jpeg", ".jfif", ".heic", ".heif", ".avif", ".webp"}
"""The suffixes of files that cameras and phones make."""

TEXT = """\
# Four autoencoders on your images: {{MSE, PixelCNN}} × {{m = 10, m = 100}}, as in Figure 6 of
# arXiv:1606.05328, and a PixelCNN whose h is constant. Written by `repr-toolkit init`; change what
# you like.
#
#   look at them    repr-toolkit data {shell} --data.size {size} --data.mode {mode}
#   train all five  repr-toolkit study {file}
#                   pictures and numbers are then in runs/{name}: figure6.png, comparison.md
#   train one       repr-toolkit train {file} --name first
#   try it first    repr-toolkit study {file} --name trial --training.steps 20 \\
#                       --training.validate_every 10

about:
  what: PixelCNN and MSE autoencoders, m = 10 and 100 (Figure 6)
  data: {count:,} images{classes}, {size}×{size} {mode}

seed: 0

data:
  source: {source}
  mode: {mode}  # all images are converted to it: RGB or grey
  size: {size}  # pixels: the middle square of each image is scaled to it{enlarged}
  batch_size: {batch}
  # Training images alone are changed, each time that they are seen, as if there were more of them.
  flips: {flips}  # {why_flips}
  shifts: 1  # moved by up to so many pixels

model:
  encoder:  # an image to h, m = h_dim numbers
    class_path: repr_toolkit.encoders.ConvBottleneck
    init_args: {{h_dim: 10, features: 32}}
  decoder:  # h to an image; features and head_features are multiples of the channels, {channels}
    class_path: repr_toolkit.decoders.GatedPixelCNN
    init_args: {{features: {features}, layers: 8, head_features: {head}, conditioning: spatial}}

training:
  optimizer:
    class_path: repr_toolkit.training.muon.Muon
    init_args: {{lr: 0.02, momentum: 0.9, weight_decay: 0.05}}
    groups:
    - {{match: [0, 1, 3], options: {{orthogonal: false, lr: 2.0e-3}}}}  # vectors and maps: Adam
  schedule: cosine
  warmup: {warmup}
  steps: {steps}  # each of the images is seen about {passes:,} times
  validate_every: {every}
  weights: best  # those of the best validation: few images are soon known by heart
  # patience: 3  # would end training after so many validations without a better one
  ema_decay: 0.99
  compile: {compile}  # pays in long trainings, and needs a C++ compiler

trainer: {{precision: auto, gradient_clip_val: 1.0}}  # bf16-mixed where that is fast

study:  # each variant is the recipe above with these changes
  mse_m10:
    model.encoder.init_args.h_dim: 10
    model.decoder: {{class_path: repr_toolkit.decoders.Deconv, init_args: {{features: 64}}}}
  mse_m100:
    model.encoder.init_args.h_dim: 100
    model.decoder: {{class_path: repr_toolkit.decoders.Deconv, init_args: {{features: 64}}}}
  pixelcnn_m10:
    model.encoder.init_args.h_dim: 10
  pixelcnn_m100:
    model.encoder.init_args.h_dim: 100
  pixelcnn_no_h:
    model.encoder: {{class_path: repr_toolkit.encoders.Constant, init_args: {{h_dim: 10}}}}
"""


def starter_recipe(survey: "Survey", name: str, source: str, shell: str, size: int) -> str:
    """The text of a recipe for the images of a folder, which trains as it is.

    `source` is the folder's path, `shell` the same as a shell takes it. Photographs are mirrored
    at random, images that may be letters or digits never. Raises ValueError for images that cannot
    be brought to one size and mode, with their names, and for too few to be split.
    """
    headers = [header for header in survey.headers if not header.problem]
    grey = all(header.mode.startswith(GREY) for header in headers)
    mode: Mode = "grey" if grey else "RGB"
    if problem := survey.obstacle(size, mode):
        raise ValueError(problem)
    labels = survey.layout.labels
    classes = {label for of in labels.values() for label in of} if labels else set()
    rows = consecutive({split: len(files) for split, files in survey.layout.splits.items()})
    count = sum(map(len, rows.values()))
    train = len(complete_splits(source, rows)["train"])
    batch = min(BATCH, train)
    steps = min(max(PASSES * train / batch, FEWEST), MOST)
    steps = max(1, round(steps / (10 * VALIDATIONS))) * 10 * VALIDATIONS
    width = 1 if count < FEW else 2
    flips = not grey and _photographs(headers, classes)
    small = sum(min(header.width, header.height) < size for header in headers)
    return TEXT.format(
        name=name,
        file=f"{name}.yaml",
        source=json.dumps(source, ensure_ascii=False),
        shell=shell,
        size=size,
        mode=mode,
        count=count,
        classes=f" of {len(classes):,} classes" if classes else "",
        enlarged=f"; {small:,} are smaller" if small else "",
        batch=batch,
        flips=str(flips).lower(),
        why_flips="mirrored, left for right; leave it off for letters, digits and what has a side",
        channels=1 if grey else 3,
        features=width * (32 if grey else 33),
        head=width * 48,
        warmup=steps // 10,
        steps=steps,
        passes=round(steps * batch / train),
        every=steps // VALIDATIONS,
        compile=str(steps >= 1000).lower(),
    )


def recipe_name(folder: str) -> str:
    """A folder's name as that of a recipe and its runs: letters, digits, _, . and -.

    >>> recipe_name("my photos (2019)"), recipe_name("..."), recipe_name("Ägypten")
    ('my_photos_2019', 'images', 'Ägypten')
    """
    return re.sub(r"[^\w.-]+", "_", folder).strip("_.-") or "images"


def _photographs(headers: "Sequence[Header]", classes: set[str]) -> bool:
    """Whether most files are of a camera's kind, and no class is named like a letter or a digit."""
    camera = sum(header.path.suffix.lower() in OF_PHOTOGRAPHS for header in headers)
    return 2 * camera > len(headers) and not any(re.fullmatch(r"\w|\d+", name) for name in classes)
