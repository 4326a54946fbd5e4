"""One string for whatever makes h: `represent` finds out what it means."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.encoders import Encoder, activations, networks
from repr_toolkit.representations import simple
from repr_toolkit.representations.encode import encoded, identity
from repr_toolkit.representations.representation import Representation
from repr_toolkit.representations.stored import stored
from repr_toolkit.runs.run import Run, with_fingerprint
from repr_toolkit.runs.run import load as load_model

KINDS = (
    "a run directory, an .npz file with embeddings, pixels, pca, labels, the import path of an "
    "encoder or network, such as torchvision.models.resnet18, or untrained:RUN, untrained:PATH"
)
UNTRAINED = "untrained:"
RANDOM = ", random weights of seed "  # in `made_by` of networks whose weights were drawn


def represent(
    source: str,
    data: ImageData | None = None,
    *,
    data_settings: Mapping[str, Any] | None = None,
    layer: str | None = None,
    pool: str = "mean",
    weights: str | None = None,
    weights_seed: int = 0,
    init_args: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    components: int = 64,
    batch_size: int = 256,
    progress: bool = False,
) -> tuple[Representation, ImageData]:
    """h of a data set by whatever ``source`` names, and the data.

    - a run directory: its trained encoder, or a ``layer`` of that;
    - ``untrained:RUN``: the same before training, as the run's seed drew it;
    - an .npz file that `embed` or `faces` wrote: the embedding stored there;
    - ``pixels``, ``pca`` (``components`` of them, fitted on the training images), ``labels``;
    - the import path of an encoder's class, or of any class or function that gives a torch network,
      with its ``init_args``: the activations of its ``layer``, pooled (see
      `repr_toolkit.encoders.LayerActivations`), with ``weights`` of a file or a name, or else
      random ones of ``weights_seed``, on images of side ``image_size``;
    - ``untrained:`` before such a path: the same network with random weights all the same, its
      images scaled as ``weights`` want them.

    Without ``data`` they are those of ``data_settings``, arguments of
    `repr_toolkit.data.load_data`, which change a run's own data or an .npz's, and must
    name a source for everything else.
    At most ``batch_size`` images are encoded at a time. Everything is deterministic.

    Raises ValueError for a source of none of these kinds, for options that do not go with it, and
    where data, levels or a stored embedding's maker are others than those that belong to it;
    FileNotFoundError, ImportError and TypeError as loading runs, data and networks does.
    """
    settings = dict(data_settings or {})
    options = {"layer": layer, "weights": weights, "init_args": init_args, "size": image_size}
    how: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    if source in ("pixels", "pca", "labels"):
        _refuse(source, options)
        data = data or _given(settings, source)
        if source == "pca":
            return simple.pca(data, components, progress=progress), data
        return (simple.pixels if source == "pixels" else simple.labels)(data), data
    if source.endswith(".npz"):
        _refuse(source, options)
        return stored(source, data, settings)
    untrained, path = source.startswith(UNTRAINED), source.removeprefix(UNTRAINED)
    run, is_path = Run(path), re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", path)
    if run.path.is_dir() or (untrained and not is_path):
        _refuse(source, {**options, "layer": None})
        data = data or _run_data(run, settings)
        return _of_run(run, untrained, data, layer, pool, how), data
    if not is_path:
        what = "there is no such run" if "/" in source else "it is no source of h"
        raise ValueError(f"{source}: {what}; give {KINDS}")
    networks.import_callable(path)  # before the data are read
    data = data or _given(settings, source)
    options["seed"] = weights_seed
    return _of_network(path, untrained, data, options, pool, how), data


def is_random(representation: Representation) -> bool:
    """Whether a network made it whose weights were drawn and never trained."""
    return RANDOM in representation.made_by


def _of_run(
    run: Run, untrained: bool, data: ImageData, layer: str | None, pool: str, how: dict[str, Any]
) -> Representation:
    encoder = _untrained(run) if untrained else load_model(run).encoder
    if encoder is None:
        raise ValueError(f"{run.path} has no encoder, so there is no h")
    spec = run.config["model"]["encoder"]
    levels = spec["init_args"].get("levels")
    if encoder.source == "image" and levels not in (None, data.levels):
        raise ValueError(
            f"the encoder of {run.path} reads images of {levels} levels, but {data.name} is read "
            f"at {data.levels}; set --data.levels {levels}"
        )
    maker = getattr(encoder, "made_by", None)
    if maker is not None and data.encoder not in (None, maker):
        raise ValueError(
            f"{run.path} was trained on embeddings made by {maker!r}, but those of {data.name} "
            f"were made by {data.encoder!r}"
        )
    name = run.path.resolve().name + (", untrained" if untrained else "")
    made_by = identity(encoder, spec["init_args"], data)
    if isinstance(encoder, activations.LayerActivations) and spec["init_args"]["weights"] is None:
        made_by = _random(made_by, spec["init_args"]["seed"])
    if layer is not None:
        encoder = activations.LayerActivations(
            cast(nn.Module, encoder),
            layer,
            pool,
            image_shape=data.image_shape,
            levels=data.levels,
        )
        name, made_by = f"{name}.{layer}", identity(encoder, {}, data)
    return encoded(name, encoder, data, made_by, **how)


def _untrained(run: Run) -> Encoder | None:
    """The run's encoder with the weights that its training began with."""
    from repr_toolkit.models.assemble import assemble

    config = run.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        encoder = assemble(config).encoder
    if encoder is None:
        return None
    if not any(weight.requires_grad for weight in cast(nn.Module, encoder).parameters()):
        raise ValueError(
            f"the {type(encoder).__name__} of {run.path} has no weights that training changes, so "
            f"untrained it is the same"
        )
    return encoder


def _of_network(
    path: str,
    untrained: bool,
    data: ImageData,
    options: dict[str, Any],
    pool: str,
    how: dict[str, Any],
) -> Representation:
    maker = networks.import_callable(path)
    weights = options["weights"]
    if weights is None:  # what a class such as FaceNet takes by itself
        parameter = inspect.signature(maker).parameters.get("weights")
        default = None if parameter is None else parameter.default
        weights = default if isinstance(default, str) else None
    shape: dict[str, Any] = {"image_shape": data.image_shape, "levels": data.levels}
    init_args, seed = dict(options["init_args"] or {}), options["seed"]
    encoder: Encoder | None = None
    if options["layer"] is None:
        net, _ = networks.build_network(path, init_args, weights, seed=seed, provided=shape)
        if hasattr(net, "source") and hasattr(net, "h_dim"):
            encoder = cast(Encoder, net)
            if options["size"] is not None:
                raise ValueError(f"{path} is an encoder, which takes images as they are: no size")
    if encoder is None:
        encoder = activations.LayerActivations(
            path,
            options["layer"],
            pool,
            init_args=init_args,
            weights=weights,
            seed=seed,
            size=options["size"],
            **shape,
        )
    weighted = any(True for _ in cast(nn.Module, encoder).parameters())
    drawn = weighted and (untrained or weights is None)
    if untrained and not weighted:
        raise ValueError(f"{path} has no weights, so untrained it is the same")
    if untrained and weights is not None:
        _draw(cast(nn.Module, encoder), path, init_args, seed, shape)
    arguments = {**{k: v for k, v in shape.items() if hasattr(encoder, k)}, **init_args}
    made_by = identity(encoder, arguments, data)
    name = str(init_args.get("model_name", path.rpartition(".")[2]))
    if options["layer"] is not None:
        name = f"{name}.{options['layer']}"
    if drawn:
        name = f"{name}, {'untrained' if untrained else 'random'}"
        made_by = _random(made_by, seed)
    return encoded(name, encoder, data, made_by, **how)


def _draw(
    encoder: nn.Module, path: str, init_args: dict[str, Any], seed: int, shape: dict[str, Any]
) -> None:
    """Replace the weights that a network was given by those that it starts with.

    All else stays, such as how the weights want images scaled.
    """
    net = encoder.net if isinstance(encoder, activations.LayerActivations) else encoder
    try:
        fresh, _ = networks.build_network(path, init_args, None, seed=seed, provided=shape)
        net.load_state_dict(fresh.state_dict())
    except Exception as error:  # anyone's class, built as nobody may ever have built it
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be built without its weights ({reason})") from error


def _random(made_by: str, seed: int) -> str:
    return f"{made_by}{RANDOM}{seed}"


def _given(settings: Mapping[str, Any], source: str) -> ImageData:
    if "source" not in settings:
        raise ValueError(
            f"{source} brings no data of its own: name them by --data.source, such as "
            f"--data.source digits"
        )
    return load_data(**settings)


def _run_data(run: Run, settings: Mapping[str, Any]) -> ImageData:
    """The run's own data, or what the settings make of them."""
    data = load_data(**{**run.data_arguments(), **settings})
    if set(settings) <= {"root", "download"}:
        with_fingerprint(run.config, data)  # which refuses others
    return data


def _refuse(source: str, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if value:
            raise ValueError(f"{source} takes no {name}, but was given {value!r}")
