"""bridge predict: what a network says about images, sequences and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from bridge.commands import arguments
from bridge.commands.terminal import say, tell
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.prediction import Prediction


def predict(
    file: arguments.File,
    inputs: list[str] = typer.Argument(
        ..., help="Images, folders of images, or arrays in .mat, .npy, .npz or .csv files (data.mat:X)."
    ),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Draw boxes or regions: a .png for one image, a folder for several."
    ),
    force: bool = typer.Option(False, "--force", help="Replace pictures that are there."),
    threshold: float = typer.Option(0.5, help="Of a detector: boxes with a smaller score are dropped."),
    anchors: Path | None = typer.Option(
        None, help="A TOML file with the AnchorBoxes of a YOLO v2 detector whose network comes alone."
    ),
    classes: arguments.Classes = None,
    color: str = typer.Option("", help="What to do with images of other channels: gray2rgb or rgb2gray."),
    resize: str = typer.Option(
        "", help="How images are brought to the network's size: a method of imresize. [bilinear; a detector's own]"
    ),
    im2single: bool = typer.Option(
        False, "--im2single", help="Divide images by 255, for a network trained on 0..1. A detector does so anyway."
    ),
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Leave out images that cannot be read, and name them."),
    input_dims: arguments.InputDims = "",
    factors: arguments.Factors = None,
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    modules: arguments.Modules = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Predict classes, sequence labels, values, regions or boxes."""
    from bridge.commands import print_json
    from bridge.modules.build import modules_from
    from bridge.prediction import Options, Predictor
    from bridge.readers import load

    network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes, anchors=anchors)
    options = Options(color, resize, im2single, input_dims, threshold, skip_bad)
    predictor = Predictor(network, options, modules=modules_from(modules) if modules is not None else None)
    files = predictor.files(inputs)
    if output is not None and not predictor.draws:
        raise UsageError(
            f"nothing is drawn for {predictor.task}",
            "boxes and regions are drawn, on images",
            "leave -o out; --json prints all",
        )
    targets = _targets(output, files, force)
    found, count, start = [], 0, perf_counter()
    for prediction, target in _told(predictor.predict(files), targets):
        count += 1
        if target is not None:
            _draw(prediction, target, force)
        if as_json:
            found.append(
                {"input": prediction.input, **prediction.found.facts(), **({"picture": str(target)} if target else {})}
            )
        else:
            first, *more = prediction.found.lines()
            say(f"{prediction.input}: {first}", *more)
            if target is not None:
                say(f"wrote {target}")
    if as_json:
        print_json(
            "predict",
            {"task": predictor.task, "predictions": found, "skipped": predictor.skipped, "notes": predictor.notes},
        )
    else:
        tell(*(f"note: {note}" for note in predictor.notes))
    if count > 1:
        kind = "images" if predictor.takes_images else "observations"
        tell(f"{count} {kind}, {count / (perf_counter() - start):.3g} a second with reading")


def _told(
    predictions: Iterator[Prediction], targets: Sequence[Path] | None
) -> Iterator[tuple[Prediction, Path | None]]:
    if targets is None:
        return ((each, None) for each in predictions)
    return zip(predictions, targets, strict=True)


def _targets(output: Path | None, files: Sequence[str], force: bool) -> list[Path] | None:
    """Return the picture of each file; raises UsageError before anything is predicted where one cannot be written."""
    if output is None:
        return None
    if output.suffix.lower() == ".png":
        if len(files) != 1:
            raise UsageError(
                f"{output} is one picture for {len(files)} images",
                "each image has its own",
                "name a folder: -o pictures/",
            )
        targets = [output]
    else:
        targets = [output / f"{Path(file).stem}.png" for file in files]
    double = next((target for index, target in enumerate(targets) if target in targets[:index]), None)
    if double is not None:
        raise UsageError(
            f"two images would be drawn to {double}", "they have the same name", "predict them one after the other"
        )
    there = next((target for target in targets if os.path.exists(target)), None)
    if there is not None and not force:
        raise UsageError(f"{there} exists", "existing files are kept", "choose another name, or pass --force")
    return targets


def _draw(prediction: Prediction, target: Path, force: bool) -> None:
    from PIL import Image

    from bridge.files.atomic import write_file

    picture = Image.fromarray(prediction.drawn())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {target.parent}", str(error), "choose another one") from error
    write_file(target, lambda path: picture.save(path, "PNG"), force=force)
