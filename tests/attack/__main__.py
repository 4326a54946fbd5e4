"""The whole attack, from the command line."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from . import __doc__ as about
from .cases import CASES, cases
from .mutations import all_kinds, links, mutations


def run_attack(argv: list[str] | None = None) -> int:
    """The whole attack; the exit status is 1 if there were faults."""
    parser = argparse.ArgumentParser("python -m tests.attack", description=about)
    parser.add_argument("--mutations", type=int, default=300, help="of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this, or links")
    parser.add_argument("--no-cases", action="store_true", help="leave out the cases")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    os.environ["REPR_TOOLKIT_CACHE"] = str(folder / "digits")
    every = all_kinds(folder)
    faults = [*mutations(every, folder, options.mutations, options.seed, options.only)]
    if options.only in ("", "links"):
        faults += links(every, folder)
    if CASES.is_dir() and not options.no_cases:
        os.environ["REPR_TOOLKIT_CACHE"] = str(folder / "digits")
        faults += cases(folder)
    print("\n".join(faults) or "no faults")
    if not faults:
        shutil.rmtree(folder)
    return min(1, len(faults))


if __name__ == "__main__":
    sys.exit(run_attack())
