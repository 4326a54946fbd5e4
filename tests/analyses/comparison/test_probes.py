"""The probes of a comparison, and of the encoders before training."""

from pathlib import Path

from repr_toolkit.analyses.comparison import probes
from repr_toolkit.data import load_data
from repr_toolkit.runs.run import load
from toys.runs import untrained_run


def test_an_untrained_encoder_is_of_its_runs_seed(tmp_path: Path) -> None:
    data = load_data("digits")
    of_labels = probes.LabelProbes(data)
    accuracies = []
    for seed in (0, 1, 0):
        run = untrained_run(tmp_path / f"run{len(accuracies)}", seed=seed)
        found = of_labels.of_h("h", load(run), run)
        assert found["probe"] == found["probe_untrained"]  # since nothing is trained
        accuracies.append(found["probe"])
    assert len(of_labels.untrained) == 2
    assert accuracies[0] == accuracies[2] != accuracies[1]
