"""What a text means that says what makes h; nothing is imported for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repr_toolkit.runs.directory import require_finished, require_run
from repr_toolkit.support.importing import require_here

KINDS = (
    "a run directory, an .npz file with embeddings, pixels, pca, thumbnail, labels, the import "
    "path of an encoder or network, such as torchvision.models.resnet18, or untrained:RUN, "
    "untrained:PATH; before any of them a part of h, such as pca10: or scale1:"
)
UNTRAINED = "untrained:"
SIMPLE = ("pixels", "pca", "thumbnail", "labels")
OF_NETWORKS = ("layer", "weights", "init_args", "image_size")
"""Options of `represent` that simple sources and files refuse; runs take the layer alone."""


def is_principal(part: str) -> bool:
    """Whether a part is so many principal components, such as `pca10`."""
    return re.fullmatch(r"pca[1-9]\d*", part) is not None


@dataclass(frozen=True)
class Source:
    """What makes h, as a text says it: NAME=SOURCE or SOURCE alone.

    Attributes:
        text: The source without its name, after what part of its h is meant, if it is a part.
        name: The name, or None.
    """

    text: str
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Source":
        """The source and its name.

        >>> Source.parse("small=runs/a"), Source.parse("runs/a=b").name
        (Source(text='runs/a', name='small'), None)
        """
        match = re.fullmatch(r"(\w[\w.-]*)=(.+)", text)
        return cls(match[2], match[1]) if match else cls(text)

    @property
    def part(self) -> str:
        """The part of h that is meant, such as `pca10` of `pca10:runs/a`; "" for all of it.

        A path with a colon has none, and a letter before a colon is no part, but a drive.
        """
        name, colon, _ = self.text.partition(":")
        named = colon and name.isidentifier() and len(name) > 1 and f"{name}:" != UNTRAINED
        return name if named and not Path(self.text).exists() else ""

    @property
    def whole(self) -> str:
        """The source whose part is meant.

        >>> [Source(text).whole for text in ("pca10:untrained:runs/a", "untrained:runs/a")]
        ['untrained:runs/a', 'untrained:runs/a']
        """
        return self.text.removeprefix(f"{self.part}:") if self.part else self.text

    @property
    def untrained(self) -> bool:
        """Whether it is a run or a network before its training."""
        return self.whole.startswith(UNTRAINED)

    @property
    def path(self) -> str:
        """The run directory, the file or the import path."""
        return self.whole.removeprefix(UNTRAINED)

    @property
    def fitted(self) -> bool:
        """Whether h is fitted to the training images: by PCA."""
        return self.whole == "pca" or is_principal(self.part)

    def with_path(self, path: str, *, untrained: bool | None = None) -> "Source":
        """The same of another path, and, if `untrained` is given, trained or not."""
        untrained = self.untrained if untrained is None else untrained
        part = f"{self.part}:" if self.part else ""
        return replace(self, text=f"{part}{UNTRAINED if untrained else ''}{path}")

    @property
    def kind(self) -> str:
        """ "simple", "file", "run", "network", or "" for what is no source.

        >>> [Source(text).kind for text in ("pca", "h.npz", "untrained:runs/a", "timm.x", "?")]
        ['simple', 'file', 'run', 'network', '']
        """
        if self.whole in SIMPLE:
            return "simple"
        if self.whole.endswith(".npz"):
            return "file"
        if "/" in self.path or Path(self.path).is_dir():
            return "run"
        if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", self.path):
            return "network"
        return "run" if self.untrained else ""


def require_source(source: Source) -> None:
    """Raise ValueError for what can be no source, FileNotFoundError for a run that is not there or
    not finished, ImportError for a network of a package that is not there.
    """
    if not source.kind:
        raise ValueError(f"{source.whole}: it is no source of h; give {KINDS}")
    if source.kind == "run":
        (require_run if source.untrained else require_finished)(Path(source.path))
    if source.kind == "network":
        require_here(source.path)


def options_for(
    source: Source, sources: Sequence[Source], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of `represent` that one of several sources gets.

    `layer`, `weights`, `init_args` and `image_size` apply to the networks among the sources, or to
    the runs if there are none; `untrained:X` gets those of X. If there are neither, they apply to
    every source, so that a wrong option is an error.
    """
    networks, runs = ([s.path for s in sources if s.kind == kind] for kind in ("network", "run"))
    if source.path in (networks or runs or [s.path for s in sources]):
        return dict(options)
    return {name: value for name, value in options.items() if name not in OF_NETWORKS}
