"""The report of a check: what a reader sees in a browser, and what is kept for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import nn

import bridge
from bridge.arrays.lazy import Array
from bridge.commands import main
from bridge.errors import UsageError
from bridge.network import LayerList, Network
from bridge.parity.check import Check, check
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.logs import check_log
from bridge.parity.profiles import Profile
from bridge.parity.references import Names, Reference
from bridge.parity.report import charts
from bridge.parity.report import page as report
from bridge.parity.report.evidence import Evidence
from bridge.parity.steps import check_steps
from tests.conftest import references
from tests.parity.test_logs import info
from tests.parity.test_steps import SGDM, linear, sgdm, start, write

FILES = Path(__file__).parents[2] / "fixtures" / "files"
Make = Callable[..., Any]
FAULT = "batchnorm_2"


def scaled(network: Network, layer: str, name: str, factor: float) -> Network:
    """The network with one learnable scaled."""
    held = network.layers[layer]
    learnable = replace(held.learnables[name], array=Array.of(held.learnables[name].value * np.float32(factor)))
    return network.with_layers({layer: replace(held, learnables={**held.learnables, name: learnable})})


@pytest.fixture(scope="module")
def diverging(tmp_path_factory: pytest.TempPathFactory) -> tuple[Check, Path]:
    """A check of signs.mat against a copy with one faulty layer, and its page."""
    network = bridge.load(FILES / "signs.mat")
    found = check(network, against=scaled(network, FAULT, "Scale", 1.1), evidence=True)
    return found, report.write(found, tmp_path_factory.mktemp("report") / "report.html")


def inside(box: dict[str, float]) -> bool:
    """Whether a box is seen without scrolling."""
    return (
        box["width"] > 0
        and box["height"] > 0
        and box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= 1280
        and box["y"] + box["height"] <= 800
    )


# In the browser


def test_the_first_divergence_and_its_cause_are_seen_without_scrolling(
    diverging: tuple[Check, Path], look: Make
) -> None:
    found, path = diverging
    page = look(path)
    assert page.locator("#verdict").inner_text() == f"First divergence: {FAULT}"
    assert found.cause is not None and str(found.cause) in page.locator(".cause").inner_text()
    for shown in ("#verdict", "#detail", ".cause", ".chart", ".graph .first"):
        assert inside(page.locator(shown).first.bounding_box()), shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str, diverging: tuple[Check, Path], look: Make) -> None:
    """Oracle: the contrast of WCAG 2, at least 4.5 for text."""
    page = look(diverging[1], color_scheme=scheme)
    colours = page.evaluate("""() => ["--ink", "--muted", "--accent"].map((name) => {
        const probe = document.createElement("i"); probe.style.color = `var(${name})`; document.body.append(probe);
        return [getComputedStyle(probe).color, getComputedStyle(document.documentElement).backgroundColor]; })""")
    for text, ground in colours:
        a, b = (luminance(tuple(int(n) for n in colour.strip("rgb()").split(","))) for colour in (text, ground))
        assert (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 4.5, (text, ground)


def luminance(colour: tuple[int, ...]) -> float:
    linear = [n / 255 / 12.92 if n / 255 <= 0.04045 else ((n / 255 + 0.055) / 1.055) ** 2.4 for n in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_points_of_the_chart_stand_as_high_as_the_errors(diverging: tuple[Check, Path], look: Make) -> None:
    """Oracle: the logarithms of the errors, which heights of points must follow on a straight line."""
    found, path = diverging
    points = look(path).locator(".chart").first.locator("a")
    told = points.evaluate_all(
        "(all) => all.map((a) => [a.getAttribute('href'), a.getBoundingClientRect().y + a.getBoundingClientRect().height / 2])"
    )
    heights = {int(link.removeprefix("#layer-")) - 1: y for link, y in told}
    assert sorted(heights) == list(range(len(found.layers)))
    known = [
        (math.log10(each.relative), heights[number]) for number, each in enumerate(found.layers) if each.relative > 0
    ]
    x, y = np.array(known).T
    assert np.corrcoef(x, y)[0, 1] < -0.9999


def test_tables_filter_and_sort(diverging: tuple[Check, Path], look: Make) -> None:
    found, path = diverging
    page = look(path)
    rows, form = page.locator("#layers tbody tr:visible"), page.locator("form[data-table=layers]")
    names = lambda: rows.locator("td:nth-child(2)").all_inner_texts()  # noqa: E731
    form.locator("[type=search]").fill("CONV")
    assert names() == ["conv_1", "conv_2"] and form.locator("output").inner_text() == f"2 of {len(found.layers)}"
    assert page.locator(".side .graph .layer:not(.faded)").count() == 2
    form.locator("[type=search]").fill("")
    form.locator("[data-flag=differs]").check()
    assert names() == [each.layer for each in found.layers if each.differs]
    form.locator("[data-flag=differs]").uncheck()
    heading = page.locator("#layers th", has_text="Of its range")
    heading.locator("button").click()
    ascending = sorted(each.relative for each in found.layers)
    assert [float(text) for text in rows.locator("td:nth-child(4)").all_inner_texts()] == pytest.approx(
        ascending, rel=0.06
    )
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending" and found.comparison.worst is not None
    assert names()[0] == found.comparison.worst.layer
    page.locator("#layers th", has_text="Layer").locator("button").click()
    assert names() == sorted(names())


@pytest.mark.parametrize("place", [".graph", ".chart"])
def test_a_click_on_a_layer_or_on_its_point_leads_to_its_row(
    place: str, diverging: tuple[Check, Path], look: Make
) -> None:
    found, path = diverging
    page, number = look(path), [each.layer for each in found.layers].index(FAULT) + 1
    page.locator(f'{place} a[href="#layer-{number}"]').first.click()
    row = page.locator("tr:target")
    assert row.locator("td").nth(1).inner_text() == FAULT and inside(row.bounding_box())


def test_the_values_are_shown_side_by_side(diverging: tuple[Check, Path], look: Make) -> None:
    page = look(diverging[1])
    boxes = (
        page.locator(".chart", has_text="difference")
        .nth(1)
        .locator("image")
        .evaluate_all("(all) => all.map((i) => i.getBoundingClientRect().toJSON())")
    )
    panels = [box for box in boxes if box["width"] > 100]
    assert (
        len(panels) == 3
        and len({round(box["y"]) for box in panels}) == 1
        and panels[0]["right"] < panels[1]["left"] < panels[2]["left"]
    )


def test_learnables_with_factors_and_differences(diverging: tuple[Check, Path], look: Make) -> None:
    page = look(diverging[1])
    page.locator("form[data-table=learnables] [data-flag=differs]").check()
    rows = page.locator("#learnables tbody tr:visible")
    assert rows.count() == 1 and rows.locator("td").all_inner_texts()[:2] == [FAULT, "Scale"]
    page.locator("form[data-table=learnables] [data-flag=differs]").uncheck()
    page.locator("form[data-table=learnables] [type=search]").fill("conv_1 bias")
    assert rows.locator("td").all_inner_texts()[2:] == ["1×1×8", "", "0", "0", "frozen"]


NASTY = "<img src='http://there.invalid/x' onerror=alert(1)>\"'&$x_2$\u202e\x1b[31m"


def test_names_from_files_are_only_text(tmp_path: Path, look: Make) -> None:
    network = bridge.load(FILES / "signs.mat")
    renamed = {layer.name: f"{layer.name}{NASTY}" for layer in network.layers}
    network = replace(
        network,
        layers=LayerList(replace(layer, name=renamed[layer.name], kind=NASTY) for layer in network.layers),
        connections=tuple(replace(each, source=renamed[each.source], destination=renamed[each.destination]) for each in network.connections),
        inputs=tuple(map(renamed.__getitem__, network.inputs)), outputs=tuple(map(renamed.__getitem__, network.outputs)),
    )  # fmt: skip
    layers = tuple(
        LayerDifference(each.name, 1e-3, 1.0, 1e-4, size=NASTY if at > 3 else "")
        for at, each in enumerate(network.layers)
    )
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    evidence = Evidence(
        network,
        layers[0].layer,
        values,
        values + 0.1,
        "NCHW",
        {(layers[0].layer, NASTY): NASTY},
        {NASTY: (values[0, 0, 0], values[0, 0, 1])},
        (NASTY, NASTY),
    )
    facts = {NASTY: NASTY, "</style><script>alert(2)</script>": "</script>"}
    found = Check(
        NASTY, Comparison(NASTY, layers), Profile(NASTY, 1e-4, NASTY), notes=(NASTY,), facts=facts, evidence=evidence
    )
    page = look(report.write(found, tmp_path / "report.html"))
    assert page.locator("h1 em").inner_text() == f"{network.layers[0].name}".replace("\u202e", "?").replace("\x1b", "?")
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0


# Without a browser


def test_a_page_refers_to_nothing_outside_itself(diverging: tuple[Check, Path]) -> None:
    text = diverging[1].read_text(encoding="utf-8")
    assert not references(text)
    assert "default-src 'none'" in text


@pytest.mark.parametrize("name", ["residual", "unet", "segnet", "lstm_classifier", "feature_mlp"])
def test_every_shape_of_network_has_a_report(name: str, load: Make, inputs: Make, recorded: Make) -> None:
    network = load(name)
    layer, learnable = next((layer.name, each) for layer in list(network.layers)[3:] for each in layer.learnables)
    found = check(network, recorded(scaled(network, layer, learnable, 1.5), inputs(network)), evidence=True)
    text = report.report(found)
    assert not found.passed and not references(text)
    assert "Values of the first diverging layer" in text and text.count('class="chart"') == 3
    assert found.facts["release"] == "2024b" in text


@pytest.mark.parametrize(
    ("name", "layer", "learnable"),
    [
        ("chain_cnn", "Conv1", "Weights"),
        ("bilstm_regression", "bilstm", "InputWeights"),
        ("feature_mlp", "fc_", "Weights"),
        ("segnet", "encoder1_conv1", "Weights"),
    ],
)
def test_samples_are_put_where_they_belong(
    name: str, layer: str, learnable: str, load: Make, inputs: Make, recorded: Make, activations: Make
) -> None:
    """Oracle: an ordinary forward pass with hooks."""
    network = load(name)
    x, other = inputs(network, 6), scaled(network, layer, learnable, 1.5)
    found = check(network, recorded(other, x, samples=50), evidence=True)
    kept, at = found.evidence, found.first_divergence
    assert (
        kept is not None
        and at is not None
        and at.layer == kept.layer == layer
        and kept.ours is not None
        and kept.theirs is not None
    )
    theirs = activations(other.to_torch(), x)[layer]
    whole = theirs if len(kept.theirs) == len(theirs) else theirs[at.batch : at.batch + 1]  # sequences run one by one
    known = np.isfinite(kept.theirs)
    assert kept.theirs.shape == whole.shape and 0 < known.sum() <= 50
    np.testing.assert_allclose(kept.theirs[known], whole[known], rtol=1e-6, atol=1e-6)


def test_without_evidence_there_are_verdict_chart_and_table(load: Make, inputs: Make, recorded: Make) -> None:
    network = load("chain_cnn")
    found = check(network, recorded(network, inputs(network)))
    assert found.evidence is None
    text = report.report(found)
    assert (
        "<em>Passed</em>" in text
        and text.count('class="chart"') == 1
        and 'id="layers"' in text
        and 'class="box"' not in text
    )


def test_any_module_without_a_network() -> None:
    ours, theirs = (nn.Sequential(nn.Linear(4, 3), nn.ReLU()) for _ in range(2))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with torch.no_grad():
        held = Reference("theirs", (x,), (theirs(torch.from_numpy(x)).numpy(),))
    text = report.report(check(ours, held, evidence=True))
    assert "First divergence" in text and text.count('class="chart"') == 3 and 'class="box"' not in text


def test_other_sizes_are_shown_as_such() -> None:
    layers = (LayerDifference("a", 0.0, 1.0, 1e-4), LayerDifference("b", math.inf, 1.0, 1e-4, size="4×4, expected 5×5"))
    rng = np.random.default_rng(0)
    evidence = Evidence(None, "b", rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(1, 2, 5, 5)), "NCHW")
    text = report.report(Check("net", Comparison("other", layers), Profile.of("matlab"), evidence=evidence))
    assert "the sizes differ: 4×4, expected 5×5" in text
    assert text.count('class="chart"') == 2  # the errors, and two images without a difference


@pytest.mark.parametrize(
    ("axes", "size", "at", "fixed", "shape"),
    [
        ("NCHW", (2, 3, 4, 5), (1, 2, 3, 4), "observation 2, channel 3", (4, 5)),
        ("NCHWD", (2, 3, 4, 5, 6), (1, 2, 3, 4, 5), "observation 2, channel 3, plane 6", (4, 5)),
        ("NTC", (2, 7, 3), (1, 6, 2), "observation 2", (3, 7)),
        ("NCS", (2, 3, 7), (0, 2, 6), "observation 1", (3, 7)),
        ("NTCHW", (2, 7, 3, 4, 5), (1, 0, 2, 3, 4), "observation 2, time step 1, channel 3", (4, 5)),
        ("NC", (6, 3), (5, 2), "", (6, 3)),
    ],
)
def test_the_plane_with_the_largest_difference_is_looked_at(
    axes: str, size: tuple[int, ...], at: tuple[int, ...], fixed: str, shape: tuple[int, int]
) -> None:
    """Oracle: one value that differs, whose place is known."""
    ours = np.random.default_rng(0).normal(size=size)
    theirs = ours.copy()
    theirs[at] += 5
    chosen = charts.plane(Evidence(None, "layer", ours, theirs, axes))
    assert chosen.fixed == fixed and chosen.ours.shape == shape and chosen.theirs is not None
    assert (chosen.ours != chosen.theirs).sum() == 1 and np.abs(chosen.ours - chosen.theirs).max() == pytest.approx(5)
    down, across = np.argwhere(chosen.ours != chosen.theirs)[0]
    letters = {"height": "H", "width": "W", "channel": "C", "time step": "T", "position": "S", "observation": "N"}
    assert (down, across) == (at[axes.index(letters[chosen.down])], at[axes.index(letters[chosen.across])])


def test_equal_networks_have_a_report_too() -> None:
    network = bridge.load(FILES / "signs.mat")
    text = report.report(check(network, against=network, profile="exact", evidence=True))
    assert "<em>Passed</em>" in text and "No value of any layer differs" in text


# On the command line


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bridge", "check", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_writes_the_page_and_keeps_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = bridge.load(FILES / "signs.mat")
    other, page = scaled(network, "fc", "Weights", 1.5).save(tmp_path / "other"), tmp_path / "report.html"
    assert run(monkeypatch, FILES / "signs.mat", "--against", other, "--html", page) == 1
    assert "First divergence" in page.read_text(encoding="utf-8") and "sha256" in page.read_text(encoding="utf-8")
    assert run(monkeypatch, FILES / "signs.mat", "--against", FILES / "signs.onnx", "--html", page) == 0
    assert "<em>Passed</em>" in page.read_text(encoding="utf-8")


def test_a_report_takes_the_place_of_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.mat"
    file.write_bytes(b"precious")
    assert run(monkeypatch, FILES / "signs.mat", "--against", FILES / "signs.onnx", "--html", file) == 2
    assert "only pages are written" in capsys.readouterr().err and file.read_bytes() == b"precious"
    with pytest.raises(UsageError, match="cannot write"):
        report.write(Check("net", Comparison("other", ()), Profile.of("matlab")), tmp_path / "nowhere" / "report.html")


def test_without_matplotlib_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(monkeypatch, "not-there.mat", "--html", tmp_path / "report.html") == 4
    assert "pip install matplotlib" in capsys.readouterr().err and not (tmp_path / "report.html").exists()


def test_learning_curves_of_two_logs(tmp_path: Path, look: Make) -> None:
    for name, seed, level in (("ours", 1, 1.0), ("theirs", 2, 3.0)):
        savemat(tmp_path / f"{name}.mat", {"info": info(seed, level)})
    found = check_log(tmp_path / "ours.mat", tmp_path / "theirs.mat")
    page = look(report.write(found, tmp_path / "report.html"))
    assert page.locator("#verdict").inner_text().startswith("First divergence: TrainingLoss")
    curves = page.locator("section", has_text="Learning curves").locator("svg")
    assert "ours.mat" in curves.inner_html() and "theirs.mat" in curves.inner_html()
    assert page.locator("section", has_text="Learning curves").bounding_box()["y"] < 800


def test_training_steps_have_a_report(tmp_path: Path, load: Make) -> None:
    network = load(linear())
    wrong = [(loss, w * 1.01, b) for loss, w, b in sgdm(*start(network), 2)]
    found = check_steps(network, write(tmp_path, network, wrong, SGDM), semantics={"adam_epsilon": "A"})
    text = report.report(found)
    assert (
        "fc/Weights after iteration 1</em>" in text
        and text.count('class="chart"') == 1
        and "adam_epsilon = &#x27;A&#x27;" in text
    )
    assert "reference.steps.mat" in text and 'class="box"' in text and not references(text)


def test_targets_have_a_report(tmp_path: Path) -> None:
    network = bridge.load(FILES / "signs.mat")
    with torch.no_grad():
        x = np.random.default_rng(0).uniform(0, 255, (30, 3, 32, 32)).astype(np.float32)
        classes = network.to_torch()(torch.from_numpy(x)).argmax(1).numpy()
    assert network.classes is not None
    np.savez(tmp_path / "data.npz", X=x, Y=np.array([network.classes[n] for n in classes]))
    found = check(network, tmp_path / "data.npz", data=Names(inputs="X", targets="Y"), evidence=True)
    text = report.report(found)
    assert "Passed" in text and 'class="box"' in text and "Learnables" in text


def test_the_evidence_is_of_one_layer_and_one_batch(load: Make, inputs: Make, recorded: Make) -> None:
    network = load("chain_cnn")
    found = check(network, recorded(network, inputs(network, 8), mini_batch=4), evidence=True)
    assert found.evidence is not None and found.evidence.ours is not None and len(found.evidence.ours) == 4
    assert "evidence" not in found.to_json()
