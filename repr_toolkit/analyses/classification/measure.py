"""Bayes' rule on a split of a run's data, beside classifiers of the pixels."""

from repr_toolkit.analyses.base import encoder_source, needs_encoder_and_decoder
from repr_toolkit.analyses.classification.bayes import classify, require_label_encoder
from repr_toolkit.analyses.classification.pixel_classifiers import pixel_baselines
from repr_toolkit.runs.kept import Result
from repr_toolkit.runs.run import Run, load_with_decoder
from repr_toolkit.support.console import say
from repr_toolkit.support.stats import difference


def measure(
    run: Run,
    split: str = "test",
    *,
    pixel_classifiers: bool = False,
    batch_size: int = 256,
    progress: bool = False,
) -> Result:
    """Classify the images of a split by a run whose encoder reads labels.

    With `pixel_classifiers` those of `pixel_baselines` are fitted too, in some minutes on a CPU.
    Raises what `classify` does.
    """
    model = load_with_decoder(run)
    require_label_encoder(model)  # before the data are looked for
    data = run.load_data()
    result = classify(model, data, split, batch_size=batch_size, progress=progress)
    fitted = []
    for baseline in pixel_baselines(data, split) if pixel_classifiers else ():
        minus = difference(baseline.hits, result.hits, result.groups)
        fitted.append({**baseline.as_dict(), "minus_bayes": minus})
        if progress:
            say(f"{baseline.name} on pixels: {baseline.accuracy.value:.3f}")
    numbers = {
        "run": str(run.path),
        "data": data.name,
        "split": split,
        "levels": data.levels,
        "likelihood": model.decoder.likelihood_label,
        "train_images": len(data.splits["train"]),
        **result.as_dict(),
        "baselines": fitted,
    }
    return Result({"split": split, "baselines": pixel_classifiers}, numbers)


def obstacle(run: Run) -> str | None:
    """Why a run cannot classify, or None if its encoder reads labels."""
    source = encoder_source(run)
    if source not in (None, "label"):
        return f"its encoder reads {source!r}, not labels"
    return needs_encoder_and_decoder(run)
