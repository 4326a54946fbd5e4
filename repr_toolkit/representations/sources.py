"""One string for whatever makes h: `represent` looks up what it means."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from repr_toolkit.data import ImageData, load_data
from repr_toolkit.representations import simple
from repr_toolkit.representations.encode import encode_data
from repr_toolkit.representations.encoders import network_encoder, run_encoder
from repr_toolkit.representations.names import KINDS, OF_NETWORKS, Source
from repr_toolkit.representations.parts import part_of
from repr_toolkit.representations.representation import Representation
from repr_toolkit.representations.stored import stored
from repr_toolkit.representations.thumbnail import thumbnail
from repr_toolkit.runs.run import Run, with_fingerprint
from repr_toolkit.support.console import say, tell
from repr_toolkit.support.importing import import_callable
from repr_toolkit.support.processes import first_process
from repr_toolkit.support.speech import either


def represent(
    source: str,
    data: ImageData | None = None,
    *,
    data_settings: Mapping[str, Any] | None = None,
    components: int = 64,
    batch_size: int = 256,
    progress: bool = False,
    parts: Sequence[str] = (),
    tell: Callable[[str], None] = say,
    **network: Any,
) -> tuple[Representation, ImageData]:
    """h of a data set by whatever `source` names, and the data.

    - a run directory: its trained encoder, or a `layer` of that;
    - `untrained:RUN`: the same before training, as the run's seed drew it, or would have drawn it
      where the run started from another one's weights;
    - an .npz file that `embed` or `faces` wrote: the embedding stored there;
    - `pixels`, `pca` (`components` of them, fitted on the training images), `thumbnail` (the means
      of 4×4 blocks), `labels`;
    - the import path of an encoder's class, or of any class or function that gives a torch network,
      with its `init_args`: the activations of its `layer`, pooled (see
      `repr_toolkit.encoders.LayerActivations`), with `weights` of a file or a name, or else those
      that it draws by `weights_seed` or loads by itself, on images of the size `image_size`, one
      side or height and width;
    - `untrained:` before such a path: the same network with weights drawn by `weights_seed`, its
      images scaled as `weights` want them;
    - a part of h before any of these: `pca10:` for the first ten principal components, fitted on
      the training images, or a name among the encoder's `parts`, such as `scale1:` of a flow's z.

    Without `data` they are those of `data_settings`, arguments of `repr_toolkit.data.load_data`,
    which change a run's own data or an .npz's, and must name a source for everything else.
    At most `batch_size` images are encoded at a time. Everything is deterministic. `parts` are
    names of parts that will be taken of h: one that there is not is an error before anything is
    encoded. `tell` gets lines on a network's weights and input. `network` are the options of
    networks that are named above, as `network_encoder` takes them.

    Raises ValueError for a source of none of these kinds, for options that do not go with it, and
    where data, levels or a stored embedding's maker are others than those that belong to it;
    FileNotFoundError, ImportError and TypeError as loading runs, data and networks does; TypeError
    for an option that there is not.
    """
    if unknown := network.keys() - {*OF_NETWORKS, "pool", "weights_seed"}:
        raise TypeError(f"represent takes no {', '.join(sorted(unknown))}")
    settings, parsed = dict(data_settings or {}), Source(source)
    how: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "tell": tell}
    if not parsed.kind:
        raise ValueError(f"{source}: it is no source of h; give {KINDS}")
    if parsed.part:
        how |= {"data_settings": data_settings, "components": components, **network}
        whole, data = represent(parsed.whole, data, parts=[parsed.part], **how)
        return part_of(whole, parsed.part), data
    if parsed.kind == "network":
        import_callable(parsed.path)  # an error at once, and not after loading data
        data = data or _load_data(settings, source)
        made = network_encoder(parsed.path, data, untrained=parsed.untrained, **network)
        return encode_data(data, made, parts=parts, **how), data
    for name in OF_NETWORKS:
        if network.get(name) and not (parsed.kind == "run" and name == "layer"):
            raise ValueError(f"{source} takes no {name}, but was given {network[name]!r}")
    if parsed.kind == "file":
        return stored(source, data, settings)
    if parsed.kind == "run":
        data = data or _run_data(Run(parsed.path), settings)
        layer, pool = network.get("layer"), network.get("pool", "mean")
        made = run_encoder(Run(parsed.path), parsed.untrained, data, layer, pool)
        return encode_data(data, made, parts=parts, **how), data
    data = data or _load_data(settings, source)
    if source == "pca":
        return simple.pca(data, components, progress=progress), data
    make = {"pixels": simple.pixels, "thumbnail": thumbnail, "labels": simple.labels}
    return make[source](data), data


def _load_data(settings: Mapping[str, Any], source: str) -> ImageData:
    """The data of the settings, for a source that has none."""
    if "source" not in settings:
        raise ValueError(
            f"{source} brings no data of its own: name them, such as by "
            + either("--data.source digits", "load_data('digits')")
        )
    return load_data(**settings)


def _run_data(run: Run, settings: Mapping[str, Any]) -> ImageData:
    """The run's own data, or what the settings make of them; stderr is told of other ones."""
    if not settings:
        return run.load_data()
    data = load_data(**run.data_arguments(settings))
    if set(settings) <= {"root", "download"}:
        with_fingerprint(run.config, data, run.info)  # which refuses others
    elif data.fingerprint != run.config["data"]["fingerprint"] and first_process():
        tell(f"{run.path} was trained on other data than {data!r}")
    return data
