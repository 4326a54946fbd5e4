"""Autoencoders and representation learning on images: any encoder, exact-likelihood decoders.

An encoder makes h of an image x, a decoder is an image model p(x|h). A recipe names both and the
data; training it leaves a run, a folder, and everything else starts from there:

    load_data     images by the name of a data set, an .npz file or a folder
    train         a run from a recipe
    load          the trained model of a run
    evaluate      bits/dim of a run on held-out images
    sample        images that a run, or a model, draws
    probe         what h knows: labels and attributes, read from it
    write_report  all that is known of runs, as one HTML page

For example, a tiny autoencoder of 8×8 digits:

>>> import repr_toolkit
>>> data = repr_toolkit.load_data("digits")
>>> data
ImageData('digits', (1, 8, 8), levels=17: 1437 train, 180 val, 180 test)
>>> recipe = {
...     "data": {"source": "digits"},
...     "model": {
...         "encoder": {"class_path": "repr_toolkit.encoders.ConvBottleneck",
...                     "init_args": {"h_dim": 4, "features": 4}},
...         "decoder": {"class_path": "repr_toolkit.decoders.GatedPixelCNN",
...                     "init_args": {"features": 8, "layers": 2}},
...     },
...     "training": {"steps": 2, "validate_every": 2},
... }
>>> from tempfile import mkdtemp
>>> run = repr_toolkit.train(recipe, mkdtemp() + "/tiny")  # doctest: +ELLIPSIS
training ConvBottleneck → h (4) → GatedPixelCNN, ...
>>> repr_toolkit.evaluate(run)["likelihood"]
'exact'
>>> model = repr_toolkit.load(run)
>>> h = model.encode(data.split("test")[:3])  # float32 (3, 4)
>>> repr_toolkit.sample(run, h, n=2).shape  # uint8, two images for each h
torch.Size([3, 2, 1, 8, 8])
>>> result = repr_toolkit.probe(run, probes=["logistic"], orders=0, images=200)
>>> result.targets[0].name
'label'
>>> repr_toolkit.write_report([run.path]).name  # doctest: +ELLIPSIS
measuring what the summary shows...
'report.html'

Recipes that come with the toolkit go by their names, as in
`train("bottleneck_mnist5k", "runs/two", {"model.encoder.init_args.h_dim": 2})`; `repr-toolkit
recipes` lists them. Importing this package loads no heavy library; each is imported where it is
used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repr_toolkit.analyses.probing import probe
    from repr_toolkit.data import load_data
    from repr_toolkit.report import write_report
    from repr_toolkit.runs.bits import evaluate
    from repr_toolkit.runs.run import load
    from repr_toolkit.sampling.draw import sample
    from repr_toolkit.training.train import train

try:
    __version__ = version("repr-toolkit")
except PackageNotFoundError:  # an uninstalled checkout
    __version__ = "0+unknown"

_PLACES = {
    "evaluate": "runs.bits",
    "load": "runs.run",
    "load_data": "data",
    "probe": "analyses.probing",
    "sample": "sampling.draw",
    "train": "training.train",
    "write_report": "report",
}

__all__ = ["evaluate", "load", "load_data", "probe", "sample", "train", "write_report"]


_ROOMS = ("analyses", "data", "decoders", "encoders", "representations", "runs", "testing")
"""Packages within this one that users import from; the others are for the toolkit itself."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *_ROOMS, "__version__"]
