"""The commands that list what is on the disk, runs and caches, and delete what can be missed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands.options import Command, Settings, add_command

WIDTH = 80


def runs(options: Namespace, settings: Settings) -> None:
    """List the runs in folders, with their numbers, state, date and size; or make them smaller.

    val and test are bits/dim, or for an encoder alone the AUC; test is what `evaluate`, `study` or
    `information` measured last. --prune deletes the checkpoints of finished runs, without which
    these cannot go on with more steps; a new run can start from their weights (train --from). It
    says first what would go, and asks. A run in training, or damaged, is never touched, and one
    that was cut short only by --cut-short: it begins anew then.
    """
    from repr_toolkit.runs.listing import describe, find_runs

    folders = [Path(folder) for folder in options.folders or ["runs"]]
    found = [describe(path) for folder in folders for path in find_runs(folder)]
    if options.prune or options.cut_short:
        if options.json or not options.prune:
            raise ValueError("--cut-short belongs to --prune, and --json does not")
        _prune(found, options)
    elif options.json:
        print(json.dumps([run.as_dict() for run in found], indent=2))
    elif not found:
        print(f"no runs in {', '.join(map(str, folders))}")
    else:
        _show(found)


def _show(found: Sequence[Any]) -> None:
    """A line a run, what is wrong below it, and the sum."""
    from repr_toolkit.support.tables import NONE, size

    rows = [["run", "state", "steps", "val", "test", "date", "size"]]
    for run in found:
        steps = f"{NONE if run.step is None else run.step}"
        if run.steps is not None and run.step != run.steps:
            steps += f" of {run.steps}"
        numbers = [_number(value, run) for value in (run.val, run.test)]
        rows.append([run.run, run.state, steps, *numbers, run.date[:10], size(run.bytes)])
    _print_rows(rows, found)
    kept = sum(run.checkpoint_bytes for run in found)
    total = size(sum(run.bytes for run in found))
    print(f"\n{len(found)} runs, {total}, of which checkpoints are {size(kept)}")
    for sign, meaning in {"≤": "an upper bound of bits/dim", "AUC": "of an encoder alone"}.items():
        if any(sign in cell for row in rows for cell in row[3:5]):
            print(f"{sign}: {meaning}")


def _print_rows(rows: Sequence[Sequence[str]], runs: Sequence[Any]) -> None:
    """A table with a head, and below the line of each run what else there is to know of it."""
    from repr_toolkit.support.tables import columns, wrapped

    head, *lines = columns(rows, WIDTH, left=(0, 1))
    print(head)
    for line, run in zip(lines, runs, strict=True):
        print(line, wrapped(f"({run.why})", "  ", WIDTH) if run.why else "", sep="\n", end="")


def _number(value: float | None, run: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.4f}" if abs(value) < 1000 else f"{value:.3g}"
    if run.measure == "AUC":
        return f"AUC {text}"
    return text if run.likelihood in ("", "exact") else f"≤{text}"


def _prune(found: Sequence[Any], options: Namespace) -> None:
    """Delete checkpoints with consent."""
    from repr_toolkit.runs.listing import describe, prune
    from repr_toolkit.support.tables import size

    states = ["finished", *(["cut short"] if options.cut_short else [])]
    going = [run for run in found if run.state in states and run.checkpoint_bytes]
    others = [run.state for run in found if run.state not in states and run.checkpoint_bytes]
    left = ", ".join(f"{others.count(state)} {state}" for state in dict.fromkeys(others))
    if left:
        print(f"left alone: {left}")
    if not going:
        print("there is nothing to prune")
        return
    rows = [[run.run, run.state, size(run.checkpoint_bytes)] for run in going]
    _print_rows([["checkpoints of", "state", "size"], *rows], going)
    total = size(sum(run.checkpoint_bytes for run in going))
    consequence = "a finished run cannot go on with more steps then"
    if "cut short" in [run.state for run in going]:
        consequence += ", and one that was cut short begins anew"
    if not _consent(f"delete {total} of {len(going)} runs? ({consequence})", options):
        return
    freed = 0
    for run in going:
        now = describe(Path(run.run))
        if now.state != run.state or not prune(Path(run.run)):
            print(f"{run.run} is {now.state} now, and left alone", file=sys.stderr)
            continue
        freed += now.checkpoint_bytes
    print(f"freed {size(freed)}")


def cache(options: Namespace, settings: Settings) -> None:
    """List what the toolkit keeps to save time: decoded data, kernels, downloads; or delete it.

    All of it is made again when it is needed. --empty deletes what is named, by kind or by name,
    and without names all but downloads. It says first what would go, and asks. Trainings at work
    keep what they have open.
    """
    from repr_toolkit.support.caches import KINDS, cache_folder, cached_things, delete, elsewhere
    from repr_toolkit.support.tables import columns, size

    things = cached_things()
    known = {*KINDS, *(thing.name for thing in things)}
    for name in options.names:
        if name not in known:
            raise ValueError(
                f"no {name!r} in {cache_folder()}; a kind is one of {', '.join(KINDS)}"
            )
    if options.names:
        things = [t for t in things if t.name in options.names or t.kind in options.names]
    elif options.empty:
        things = [thing for thing in things if thing.kind != "torchvision"]
    sizes = {thing: thing.bytes for thing in things}
    if options.json:
        entries = [
            {"kind": t.kind, "name": t.name, "path": str(t.path), "date": t.date, "bytes": count}
            for t, count in sizes.items()
        ]
        print(json.dumps(entries, indent=2))
        return
    rows = [["name", "kind", "date", "size"]]
    kernels = [thing for thing in things if thing.kind == "native"]
    for thing, count in sizes.items():
        if thing not in kernels:
            rows.append([thing.name, thing.kind, thing.date[:10], size(count)])
    if kernels:
        total = sum(sizes[thing] for thing in kernels)
        newest = max(thing.date for thing in kernels)[:10]
        rows.append([f"{len(kernels)} kernels", "native", newest, size(total)])
    if not things:
        print(f"nothing is kept in {cache_folder()}")
    else:
        print(*columns(rows, WIDTH, left=(0, 1)), "", sep="\n")
        print(f"{size(sum(sizes.values()))} in {cache_folder()}")
    if not options.empty:
        for kind in dict.fromkeys(thing.kind for thing in things):
            print(f"{kind}: {KINDS[kind]}")
        for what, path in elsewhere():
            print(f"PyTorch keeps {what} in {path}, which is left to you")
    elif things and _consent("delete all of this?", options):
        for thing in things:
            delete(thing)
        print(f"freed {size(sum(sizes.values()))}")


def _consent(question: str, options: Namespace) -> bool:
    """Whether the user agrees, by --yes or on a terminal; ValueError where nobody can be asked."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError("nothing was deleted: there is no terminal to ask at; give --yes to agree")
    agreed = input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    if not agreed:
        print("nothing was deleted")
    return agreed


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, runs, "list runs, and make them smaller")
    command.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="folders of runs, or runs (default: runs)"
    )
    command.add_shared("--json")
    command.add_argument(
        "--prune", action="store_true", help="delete checkpoints of finished runs, with consent"
    )
    command.add_argument(
        "--cut-short", action="store_true", help="with --prune: of those that were cut short too"
    )
    _add_consent(command)

    command = add_command(subcommands, cache, "list what is kept to save time, and delete it")
    command.add_argument("names", nargs="*", metavar="NAME", help="a kind, or a name in the list")
    command.add_shared("--json")
    command.add_argument("--empty", action="store_true", help="delete what is listed, with consent")
    _add_consent(command)


def _add_consent(command: Command) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask before deleting")
