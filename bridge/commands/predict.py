"""bridge predict: what a network says about images, sequences and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bridge.commands import arguments
from bridge.commands.confusion import show
from bridge.commands.results import Results, watched
from bridge.commands.terminal import say, tell
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.detection import GroundTruth
    from bridge.prediction import Prediction, Predictor
    from bridge.prediction.precision import Measured

THRESHOLD = 0.5  # MATLAB's
WEAK = 0.01  # of detections that are measured: those that are kept anyway are the less sure end of the curve

Inputs: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        help="Images, patterns ('photos/*.jpg'), folders of images or of class folders, a .csv with the columns "
        "path and label, or arrays in .mat, .npy, .npz or .csv files (data.mat:X)."
    ),
]
Output: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write results.csv, a line for each input; or draw boxes or regions: a .png for one image, a folder for "
        "several.",
    ),
]
Threshold: TypeAlias = Annotated[
    float | None, typer.Option(help="Of a detector: boxes with a smaller score are dropped. [0.5; 0.01 with --truth]")
]
Truth: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Of a detector, instead of images: objects in images (.csv, .mat, .json, folder), to measure against."
    ),
]
Html: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Write one HTML page: the confusion matrix where labels are known, precision over recall with --truth."
    ),
]
Matrix: TypeAlias = Annotated[
    Path | None, typer.Option("--csv", help="Where labels are known: write the confusion matrix as CSV.")
]
Device: TypeAlias = Annotated[
    str | None, typer.Option(help="cpu, cuda, or cuda:1 for one of several. Default: a GPU if there is one.")
]
Anchors: TypeAlias = Annotated[
    Path | None, typer.Option(help="A TOML file with the AnchorBoxes of a YOLO v2 detector whose network comes alone.")
]
Resize: TypeAlias = Annotated[
    str,
    typer.Option(
        help="How images are brought to the network's size: a method of imresize. [bilinear; a detector's own]"
    ),
]
Im2single: TypeAlias = Annotated[
    bool,
    typer.Option("--im2single", help="Divide images by 255, for a network trained on 0..1. A detector does so anyway."),
]


def predict(
    file: arguments.File,
    inputs: Inputs = [],  # noqa: B006 (typer makes a list of its own)
    output: Output = None,
    force: bool = typer.Option(False, "--force", help="Replace pictures and .csv files that are there."),
    threshold: Threshold = None,
    truth: Truth = None,
    html: Html = None,
    matrix: Matrix = None,
    device: Device = None,
    anchors: Anchors = None,
    classes: arguments.Classes = None,
    color: str = typer.Option("", help="What to do with images of other channels: gray2rgb or rgb2gray."),
    resize: Resize = "",
    im2single: Im2single = False,
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Leave out images that cannot be read, and name them."),
    input_dims: arguments.InputDims = "",
    factors: arguments.Factors = None,
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    modules: arguments.Modules = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Predict classes, sequence labels, values, regions or boxes. Where class folders or a list give labels: accuracy,
    a table of the classes and a confusion matrix, too.
    """
    from bridge.modules.build import modules_from
    from bridge.prediction import Options, Predictor
    from bridge.readers import load

    known = _objects(truth, inputs, html, skip_bad)
    network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes, anchors=anchors)
    least = threshold if threshold is not None else THRESHOLD if known is None else WEAK
    options = Options(color, resize, im2single, input_dims, least, skip_bad)
    own = modules_from(modules) if modules is not None else None
    predictor = Predictor(network, options, modules=own, device=device)
    if known is not None and predictor.task != "detection":
        raise UsageError(
            f"{truth} holds objects, and the network finds none", f"it does {predictor.task}", "leave --truth out"
        )
    files = predictor.files(inputs if known is None else list(known.files))
    results = Results.of(predictor, output, matrix, None if known is not None else html, force)
    if output is not None and results.table is None and not predictor.draws:
        raise UsageError(
            f"nothing is drawn for {predictor.task}",
            "boxes and regions are drawn, on images",
            "-o results.csv writes a table; --json prints all",
        )
    targets = _targets(None if results.table is not None else output, files, force)
    predictions = _told(watched(predictor.predict(files), len(files)), targets)
    page = None if html is None or known is None else (html, str(file))
    _tell(predictor, predictions, known, page, results, force, as_json)


def _objects(truth: Path | None, inputs: Sequence[str], html: Path | None, skip_bad: bool) -> GroundTruth | None:
    """Return the objects to measure against; raises UsageError for inputs and options that do not go together."""
    if (truth is None) != bool(inputs) or (truth is not None and skip_bad):
        raise UsageError(
            "it is images or other inputs, or --truth with the objects in its images",
            "--skip-bad leaves out no image of --truth",
            "bridge predict NET IMAGE..., or bridge predict DETECTOR --truth boxes.csv --html page.html",
        )
    if html is not None:
        from bridge.pages import require_html

        require_html(html)
    if truth is None:
        return None
    from bridge.detection import read_ground_truth

    return read_ground_truth(truth)


def _tell(
    predictor: Predictor,
    predictions: Iterator[tuple[Prediction, Path | None]],
    truth: GroundTruth | None,
    page: tuple[Path, str] | None,
    results: Results,
    force: bool,
    as_json: bool,
) -> None:
    """Print and draw what is found, and how good it is."""
    from bridge.commands import print_json

    told: list[dict[str, Any]] = []
    found: list[Prediction] = []
    start = perf_counter()
    for prediction, target in predictions:
        if target is not None:
            _draw(prediction, target, force)
        found.append(replace(prediction, picture=None))
        if as_json:
            picture = {"picture": str(target)} if target else {}
            told.append({"input": prediction.input, **prediction.found.facts(), **picture})
            continue
        if results.table is None:
            first, *more = prediction.found.lines()
            say(f"{prediction.input}: {first}", *more)
        if target is not None:
            say(f"wrote {target}")
    seconds = perf_counter() - start
    measured = None if truth is None else _measured(predictor, found, truth, page)
    confusion = results.write(found)
    if as_json:
        facts: dict[str, Any] = {
            "task": predictor.task,
            "predictions": told,
            "skipped": predictor.skipped,
            "notes": predictor.notes,
        }
        facts |= {} if measured is None else {"precision": measured.facts()}
        print_json("predict", facts if confusion is None else {**facts, "result": confusion.facts()})
    else:
        say(*(() if measured is None else measured.lines()))
        if confusion is not None:
            show(confusion)
        say(*(f"wrote {path}" for path in results.paths))
        tell(*(f"note: {note}" for note in predictor.notes))
    if len(found) > 1:
        kind = "images" if predictor.takes_images else "observations"
        tell(f"{len(found)} {kind}, {len(found) / seconds:.3g} a second with reading, on {predictor.device}")


def _measured(
    predictor: Predictor, found: Sequence[Prediction], truth: GroundTruth, page: tuple[Path, str] | None
) -> Measured:
    from bridge.prediction.found import Boxes
    from bridge.prediction.precision import Measured, write_page

    boxes = [each.found.detections for each in found if isinstance(each.found, Boxes)]
    measured = Measured.of(boxes, truth, predictor.network.classes or (), predictor.options.threshold)
    if page is not None:
        write_page(measured, page[1], page[0])
    return measured


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
