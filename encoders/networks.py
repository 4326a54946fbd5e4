"""Any network by its import path: how to build it, its weights, and its input images."""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from repr_toolkit.encoders.state import load_weights
from repr_toolkit.support.importing import import_callable
from repr_toolkit.support.pulse import Work, working
from repr_toolkit.support.reading import WEIGHTS_FILES

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std of intensities in [0, 1]
SIZES = ("input_image_size", "image_size", "img_size")  # attributes that state what size is wanted
LEAST_SIDE = 8  # pixels; a smaller number is no size of an image


@dataclass(frozen=True)
class Inputs:
    """How a network's images are prepared: resized to `size`, then (x − mean) / std, x in [0, 1].

    `size` (height, width) is None if images keep theirs.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]
    interpolation: str = "bilinear"


def build_network(
    path: str,
    init_args: Mapping[str, Any],
    weights: str | None,
    *,
    seed: int = 0,
    provided: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, Inputs]:
    """The network that the class or function at an import path gives, and its preprocessing.

    It is called with `init_args`, and those of the `provided` values that it has parameters for.
    `weights` is a state dict file, .pt or .safetensors, read without unpickling anything, or a name
    that the function knows, such as torchvision's IMAGENET1K_V1 or DEFAULT, which its library may
    download. None reads nothing and draws the weights by `seed`; the preprocessing is then that of
    the library's default weights.

    Raises ImportError for a path that leads nowhere, FileNotFoundError for weights that cannot be
    read or downloaded, ValueError for arguments or weights that do not fit, TypeError if the result
    is no network.
    """
    maker = import_callable(path)
    for key in ("weights", "pretrained"):
        if key in init_args:
            raise ValueError(f"{path}: give weights beside init_args, not in them as {key!r}")
    parameters = inspect.signature(maker).parameters
    arguments = accepted(maker, provided or {}) | dict(init_args)
    file = weights if weights and _is_file(weights) else None
    name = None if file else weights
    known = _torchvision_weights(maker)
    inputs = None
    if known is not None:
        chosen = _choose(path, known, name)
        arguments["weights"] = chosen if name else None
        if name is None and "weights_backbone" in parameters:
            arguments.setdefault("weights_backbone", None)  # torchvision's default downloads
        inputs = _torchvision_inputs(chosen.transforms())
    elif "weights" in parameters:
        arguments["weights"], file = weights, None  # it reads files itself
    elif maker.__module__.split(".")[0] == "timm":
        if name not in (None, "DEFAULT"):
            raise ValueError(
                f"{path} has no weights {name!r}: give DEFAULT, and timm's tag in the model's name"
            )
        arguments["pretrained"] = name is not None
    elif name is not None:
        if "pretrained" not in parameters:
            raise FileNotFoundError(
                f"no weights {name!r}: it is no file, and {path} takes no name of weights"
            )
        arguments["pretrained"] = name
    net = _call(path, maker, arguments, weights, seed)
    if inputs is not None:  # of the library's weights; built for another size, it says so
        inputs = replace(inputs, size=_stated_size(net) or inputs.size)
    if hasattr(net, "transform_input"):
        # torchvision's pretrained Inceptions need another scale than their transforms give, and
        # convert it themselves. Untrained ones would not, so that a saved run could not use them.
        cast("Any", net).transform_input = True
    if file is not None:
        load_weights(net, Path(file).expanduser(), path)
    return net, inputs or inputs_of(net)


def inputs_of(net: nn.Module) -> Inputs:
    """The preprocessing that a network states, or the outermost that states one of what it wraps.

    Otherwise ImageNet's scale, and the size that it says it is made for, if it does.
    """
    inputs = next(filter(None, map(_of_library, net.modules())), Inputs())
    return replace(inputs, size=_stated_size(net) or inputs.size)


def drawn_by_seed(
    net: nn.Module,
    path: str,
    init_args: Mapping[str, Any],
    seed: int,
    provided: Mapping[str, Any],
) -> tuple[bool, list[str]]:
    """Whether the weights of a network are those that building it without any draws by `seed`.

    A class or function of anybody's may load weights by itself, or draw them by a seed of its own,
    and so it is tried: built by the same seed again the network has the same weights, built by
    another one it has others, but for constants. torchvision's networks are known to draw them.
    Weights that neither train nor depend on the seed, such as positions in sines, may be a tenth of
    all numbers; more of them may be a network that was loaded. The names are those of the weights
    that are not drawn.
    """
    library = import_callable(path).__module__.startswith("torchvision.models.")
    if library and not init_args.get("weights_backbone"):
        return True, []
    with working(Work(f"building {path} twice more, to see whether it draws its weights")):
        nets = [
            build_network(path, init_args, None, seed=s, provided=provided)[0]
            for s in (seed, seed + 1)
        ]
    same, other = (dict(each.named_parameters()) for each in nets)
    strange: list[str] = []
    fixed: list[str] = []
    weights = dict(net.named_parameters())
    for name, weight in weights.items():
        if any(is_lazy(w) for w in (weight, same[name], other[name])):
            strange.append(name)
            continue
        constant = weight.numel() < 2 or bool((weight == weight.flatten()[0]).all())
        if not weight.equal(same[name]):
            strange.append(name)
        elif weight.equal(other[name]) and not constant:
            (strange if same[name].requires_grad else fixed).append(name)  # `net` may be frozen
    if strange:
        return False, strange + fixed
    numbers = sum(weight.numel() for weight in weights.values())
    return 10 * sum(weights[name].numel() for name in fixed) <= numbers, fixed


def accepted(maker: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a class or function has parameters for, by their names."""
    parameters = inspect.signature(maker).parameters
    return {name: value for name, value in values.items() if name in parameters}


def _is_file(weights: str) -> bool:
    return Path(weights).suffix in WEIGHTS_FILES or Path(weights).expanduser().is_file()


def _of_library(net: nn.Module) -> Inputs | None:
    """What timm, facenet-pytorch or torchvision say of a network of theirs; None for another."""
    library = type(net).__module__.split(".")[0]
    if hasattr(net, "pretrained_cfg") and hasattr(net, "default_cfg"):  # timm
        stated = import_module("timm.data").resolve_model_data_config(net)
        size = tuple(stated["input_size"][1:])
        return Inputs(size, tuple(stated["mean"]), tuple(stated["std"]), stated["interpolation"])
    if library == "facenet_pytorch":
        return Inputs((160, 160), (0.5,) * 3, (128 / 255,) * 3)
    return _of_torchvision(net) if library == "torchvision" else None


def _of_torchvision(net: nn.Module) -> Inputs | None:
    """What the weights of torchvision want that fit a network, whichever function made it.

    They are those of as many parameters, or, as where its head was replaced, of its class, if all
    of these want one size.
    """
    from torchvision.models import get_model_weights, list_models

    makers = [
        name
        for name, maker in vars(import_module(type(net).__module__)).items()
        if getattr(maker, "__annotations__", {}).get("return") is type(net)
    ]
    weights = [w for name in {*makers} & {*list_models()} for w in get_model_weights(name)]
    count = sum(weight.numel() for weight in net.parameters() if not is_lazy(weight))
    fitting = [w for w in weights if w.meta.get("num_params") == count] or weights
    found = sorted({_torchvision_inputs(w.transforms()) for w in fitting}, key=repr)
    return found[0] if len({inputs.size for inputs in found}) == 1 else None


def _stated_size(net: nn.Module) -> tuple[int, int] | None:
    """Height and width that a network, its configuration or the outermost part of it states."""
    for part in net.modules():
        for stating in (part, getattr(part, "config", None)):
            for name in SIZES:
                size = getattr(stating, name, None)
                sides = (size, size) if isinstance(size, int) else size
                if isinstance(sides, tuple | list) and len(sides) in (2, 3):  # or with channels
                    height, width = sides[-2:]
                    if all(isinstance(side, int) and side >= LEAST_SIDE for side in sides[-2:]):
                        return height, width
    return None


def _torchvision_weights(maker: Callable[..., Any]) -> Any:
    """torchvision's weights for one of its functions; None for anything else."""
    if maker.__module__.split(".")[0] != "torchvision":
        return None
    from torchvision.models import get_model_weights

    try:
        return get_model_weights(maker)
    except ValueError:  # a class, such as torchvision.models.ResNet
        return None


def _choose(path: str, known: Any, name: str | None) -> Any:
    try:
        return known[name or "DEFAULT"]
    except KeyError:
        names = ", ".join(["DEFAULT", *(weights.name for weights in known)])
        raise ValueError(f"{path} has no weights {name!r}; there are {names}") from None


def _torchvision_inputs(transforms: Any) -> Inputs:
    """The preprocessing of torchvision's transforms, with whole images instead of crops."""
    side = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)
    mean = tuple(getattr(transforms, "mean", IMAGENET[0]))
    std = tuple(getattr(transforms, "std", IMAGENET[1]))
    interpolation = getattr(transforms, "interpolation", None)
    how = "bilinear" if interpolation is None else interpolation.value
    return Inputs((side[0], side[-1]) if side else None, mean, std, how)


def _call(
    path: str,
    maker: Callable[..., Any],
    arguments: Mapping[str, Any],
    weights: str | None,
    seed: int,
) -> nn.Module:
    try:
        inspect.signature(maker).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{path}: {error}; its arguments are its init_args") from error
    try:
        # What it prints is no part of a command's output, which may be JSON.
        printed = redirect_stdout(sys.stderr)
        with printed, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # torchvision warns that initial weights of its Inceptions will change.
            warnings.simplefilter("ignore", FutureWarning)
            torch.manual_seed(seed)
            net = maker(**arguments)
    except (OSError, HTTPException) as error:
        # An encoder's FileNotFoundError says more; huggingface_hub raises a subclass of it.
        if weights is None or _is_file(weights) or type(error) is FileNotFoundError:
            raise
        raise FileNotFoundError(
            f"the weights {weights!r} of {path} are not here and could not be downloaded "
            f"({error}); give a file of them"
        ) from error
    if not isinstance(net, nn.Module):
        raise TypeError(f"{path} gives a {type(net).__name__}, not a torch network (nn.Module)")
    return net
