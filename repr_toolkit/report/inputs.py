"""What a report is about: the runs, their comparison, and the analyses that are kept with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from repr_toolkit.analyses import ANALYSES, load_analysis
from repr_toolkit.analyses.base import Analysis, needs_code
from repr_toolkit.analyses.comparison.measure import PROTOCOL, measure
from repr_toolkit.config.recipe import Config
from repr_toolkit.runs.kept import Kept, choose_kept, keep_together, kept_together, unsaved
from repr_toolkit.runs.run import Run, distinct_names, require_same_data
from repr_toolkit.support.console import say
from repr_toolkit.support.reading import read_json

COMPARISON = "comparison.json"


@dataclass(frozen=True, eq=False)
class Reported:
    """The runs of a report by the names that stand over their columns.

    `folder` is the one run's, or the one that the runs have in common; None where they have none.
    `study` is one of frozen h that lies elsewhere; see `repr_toolkit.report.frozen`.
    """

    runs: Mapping[str, Run]
    folder: Path | None
    split: str
    unfinished: Sequence[str] = field(default=())
    study: Kept | None = None
    further: Sequence[str] = ()  # import paths of analyses beside `ANALYSES`

    @cached_property
    def analyses_shown(self) -> list[Analysis]:
        """The analyses of the page, in its order."""
        return [load_analysis(name) for name in (*ANALYSES, *self.further)]

    @cached_property
    def chosen(self) -> dict[str, dict[str, tuple[Kept | None, Sequence[str]]]]:
        """What `choose_kept` chooses of each analysis, by its name, for each run; read once."""
        return {
            analysis.name: {
                name: choose_kept(
                    run, analysis.name, analysis.only_split or self.split, analysis.protocol
                )
                for name, run in self.runs.items()
            }
            for analysis in self.analyses_shown
        }

    def kept(self, analysis: Analysis) -> dict[str, Kept]:
        """Each run's newest result of the page's split and of the present weights."""
        chosen = self.chosen[analysis.name]
        return {name: kept for name, (kept, _) in chosen.items() if kept is not None}

    @cached_property
    def configs(self) -> dict[str, Config]:
        """The runs' configurations, each read once."""
        return {name: run.config for name, run in self.runs.items()}

    @property
    def encoders(self) -> list[str]:
        """The runs that have a code to be looked at: the h of an encoder, or a flow's z."""
        return [name for name, run in self.runs.items() if needs_code(run) is None]

    @property
    def decoding(self) -> dict[str, Run]:
        """The runs that have a decoder, whose likelihoods and pictures can be compared."""
        models = {name: config["model"] for name, config in self.configs.items()}
        return {name: run for name, run in self.runs.items() if models[name].get("decoder")}

    @cached_property
    def compared(self) -> list[Kept]:
        """The comparisons of the decoding runs on this split: the kept ones, or else new ones.

        They are kept in `folder`/analysis, as those of a study are. There is one, but where runs
        have the same images in several data files, as of frozen representations: then one a file.
        Raises what `comparison.measure` does, and ValueError for runs of different images.
        """
        by_data: dict[str, dict[str, Run]] = {}
        for name, run in self.decoding.items():
            by_data.setdefault(run.info["data"]["fingerprint"], {})[name] = run
        groups = [*by_data.values()]
        if groups:
            first = [next(iter(group)) for group in groups]
            require_same_data({name: self.runs[name] for name in first}, self.split)
        return [self._compared(group) for group in groups]

    @cached_property
    def comparison(self) -> Mapping[str, Any] | None:
        """The numbers of all variants together; None where no run has a decoder."""
        parts = [compared.numbers for compared in self.compared]
        if not parts:
            return None
        variants = {name: variant for part in parts for name, variant in part["variants"].items()}
        notes = dict.fromkeys(note for part in parts for note in part["notes"])
        in_order = {name: variants[name] for name in self.decoding}
        return {**parts[0], "variants": in_order, "notes": [*notes]}

    def _compared(self, runs: Mapping[str, Run]) -> Kept:
        asked = {"split": self.split, "protocol": PROTOCOL}
        kept = self.folder and kept_together(self.folder, "comparison", runs, **asked)
        if kept:
            return kept
        say("measuring what the summary shows")
        result = measure(runs, self.split)
        if self.folder is None:
            return unsaved(result, "")
        return keep_together(self.folder, "comparison", runs, result)


def find_runs(paths: Sequence[str | Path], split: str = "test") -> Reported:
    """The runs that are named, or that the named folders hold, in this order; each once.

    A folder's runs come in the order of its comparison, or else by name; those of them that are
    not finished are left out and named in `unfinished`. Raises FileNotFoundError for what is
    neither a run nor a folder with a finished one, and for a named run that is not finished.
    """
    named: list[Run] = []
    unfinished: list[str] = []
    for path in map(Path, paths):
        run = Run(path)
        if run.config_file.is_file() or not path.is_dir():
            run.require_finished()
            named.append(run)
            continue
        inside = [Run(file.parent) for file in sorted(path.glob("*/config.yaml"))]
        ready = [run for run in inside if run.finished]
        if not ready:
            raise FileNotFoundError(f"{path} is no run, and no folder of finished runs")
        unfinished += [run.path.name for run in inside if not run.finished]
        named += _in_order(path, ready)
    once = {run.path.resolve(): run for run in named}
    folders = {*once} if len(once) == 1 else {path.parent for path in once}
    names = distinct_names([*once.values()])
    return Reported(
        dict(zip(names, once.values(), strict=True)),
        folders.pop() if len(folders) == 1 else None,
        split,
        unfinished,
    )


def _in_order(folder: Path, runs: Sequence[Run]) -> list[Run]:
    file = folder / COMPARISON
    names = read_json(file).get("variants", ()) if file.is_file() else ()
    ranks = {name: rank for rank, name in enumerate(names)} if isinstance(names, dict) else {}
    return sorted(runs, key=lambda run: ranks.get(run.path.name, len(ranks)))
