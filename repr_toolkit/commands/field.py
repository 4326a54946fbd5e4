"""The command that draws what decoders see."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import SETTINGS_HELP, Settings, add_command


def field(options: Namespace, settings: Settings) -> None:
    """Draw which pixels a decoder's distribution of one pixel depends on, by its derivatives.

    For a recipe's decoder, or for each of a study side by side, with one layer and with all. The
    pixel (black) stands in the middle column, two thirds down. Violet is what it sees, orange what
    comes before it and is not seen. Weights are random: what no weights can make seen is blind.
    """
    import torch

    from repr_toolkit.analyses.comparison.blocks import heading
    from repr_toolkit.commands.results import save_picture
    from repr_toolkit.config.build import build
    from repr_toolkit.config.recipe import apply_settings, given, load_recipe, variants
    from repr_toolkit.config.trust import trust_file
    from repr_toolkit.data import load_data
    from repr_toolkit.decoders import AutoregressiveDecoder
    from repr_toolkit.runs.run import data_arguments
    from repr_toolkit.support.pictures import Group, paper_figure
    from repr_toolkit.testing.field import coloured, earlier, field

    config = given(load_recipe(options.recipe), settings)
    trust_file(config, Path(options.recipe))
    configs = variants(config) if "study" in config else {options.recipe: config}
    layers = "model.decoder.init_args.layers"
    specs = [each["model"]["decoder"] or {} for each in configs.values()]
    deep = all("layers" in spec.get("init_args", {}) for spec in specs)
    depths: dict[str, Settings] = {"one layer": {layers: "1"}} if deep else {}
    depths["all layers"] = {}
    data = load_data(**data_arguments(config))
    groups = []
    for name, variant in configs.items():
        pictures = []
        for depth, change in depths.items():
            decoder = build(apply_settings(variant, change), data).decoder
            if not isinstance(decoder, AutoregressiveDecoder):
                raise ValueError(f"{name}: its decoder is not autoregressive, and sees no pixels")
            _, height, width = decoder.image_shape
            place = height * 2 // 3, width // 2
            seen, before = field(decoder, *place), earlier(decoder, *place)
            count, of = int((seen & before).sum()), int(before.sum())
            print(f"{name}, {depth}: pixel {place} sees {count} of {of} earlier pixels")
            pictures.append(coloured(seen, before, *place))
        groups.append(Group(torch.stack(pictures)[:, None], *heading(name)))
    save_picture(lambda: paper_figure(groups, list(depths)), options)


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, field, "draw what a decoder sees", SETTINGS_HELP)
    command.add_shared("recipe")
    command.add_out("PNG to write", "field.png", suffixes=(".png",))
    command.checks.append(checks.recipe)
