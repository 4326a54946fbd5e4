"""The picture of each validation."""

from pathlib import Path

import numpy as np
from PIL import Image

from repr_toolkit.models.temperatures import temperature_rows
from repr_toolkit.runs.run import load_with_decoder
from repr_toolkit.support.pictures import image_grid
from repr_toolkit.training.train import train
from toys.flows import LOGISTIC
from toys.runs import small


def test_it_ends_with_a_row_of_temperatures_where_noise_is_scaled(tmp_path: Path) -> None:
    changes = {"training__steps": 2, "training__validate_every": 2, "training__ema_decay": 0}
    config = small(model__encoder=None, model__decoder=LOGISTIC, **changes)
    run = train(config, tmp_path / "flow")
    with Image.open(run.image_dir / "step_0000002.png") as picture:
        shown = np.asarray(picture)
    columns = config["training"]["pictures"]
    row = temperature_rows(load_with_decoder(run).decoder, None, columns, config["seed"])[0]
    wanted = np.asarray(image_grid(row, columns=columns, levels=17))
    assert shown.shape[0] == 3 * (len(wanted) - 2) + 2  # below two of samples
    np.testing.assert_array_equal(shown[-len(wanted) :, -wanted.shape[1] :], wanted)
    assert shown[:, : -wanted.shape[1]].min() == 0  # the rows' names
