"""The log: MATLAB's tables, info.mat, history.json, the plot."""

from __future__ import annotations

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from bridge.options.options import training_options
from bridge.training.history import TrainingInfo
from bridge.training.plot import MOST_POINTS, page
from bridge.training.progress import Progress, clock
from bridge.training.train import train
from tests.training import nets
from tests.training.test_loop import observations

ROWS = [
    {
        "Iteration": 1, "Epoch": 1, "TimeElapsed": 3.2, "BaseLearnRate": 0.01, "TrainingLoss": 2.30258, "TrainingAccuracy": 26.5625,
        "ValidationLoss": 2.3026, "ValidationAccuracy": 26.9,
    },
    {"Iteration": 2, "Epoch": 1, "TimeElapsed": 4.0, "BaseLearnRate": 0.01, "TrainingLoss": 1.0, "TrainingAccuracy": 50.0},
    {"Iteration": 50, "Epoch": 3, "TimeElapsed": 3723.0, "BaseLearnRate": 1e-4, "TrainingLoss": 0.5, "TrainingAccuracy": 100.0},
]  # fmt: skip
TABLE = """\
|======================================================================================================================|
|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Validation  |  Mini-batch  |  Validation  |  Base Learning  |
|         |             |   (hh:mm:ss)   |   Accuracy   |   Accuracy   |     Loss     |     Loss     |      Rate       |
|======================================================================================================================|
|       1 |           1 |       00:00:03 |       26.56% |       26.90% |       2.3026 |       2.3026 |          0.0100 |
|       3 |          50 |       01:02:03 |      100.00% |              |       0.5000 |              |      1.0000e-04 |
|======================================================================================================================|
Training finished: Max epochs completed.
"""
PLAIN = """\
    Iteration    Epoch    TimeElapsed    LearnRate    TrainingLoss    ValidationLoss
    _________    _____    ___________    _________    ____________    ______________
            0        0       00:00:00         0.01                            13.488
            1        1       00:00:01         0.01          13.974                  
Training stopped: Max epochs completed
"""


def printed(monkeypatch: pytest.MonkeyPatch, trainer: str, rows: list[Any], metrics: tuple[str, ...]) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(training_options("sgdm", trainer=trainer), metrics, True, 50, None, rows) as progress:
        for row in rows:
            progress.update(row)
        progress.finish("Max epochs completed")
    return stream.getvalue()


def test_the_table_of_trainNetwork(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its documentation prints it: iteration 1, every VerboseFrequency (50), validations, the last one."""
    assert printed(monkeypatch, "trainNetwork", ROWS, ("Accuracy",)) == TABLE


def test_the_table_of_trainnet(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"Iteration": 0, "Epoch": 0, "TimeElapsed": 0.9, "BaseLearnRate": 0.01, "ValidationLoss": 13.488},
        {"Iteration": 1, "Epoch": 1, "TimeElapsed": 1.9, "BaseLearnRate": 0.01, "TrainingLoss": 13.9741},
    ]
    assert printed(monkeypatch, "trainnet", rows, ()) == PLAIN


def test_a_bar_is_only_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    with Progress(training_options("sgdm", Verbose=False), ("Accuracy",), True, 50, None, ROWS[:2]) as progress:
        progress.update(ROWS[1])
        progress._bar.refresh()
    shown = stream.getvalue()
    assert (
        "epoch 1, loss 1, Accuracy 50, rate 0.01" in shown
        and re.search(r"iteration\S* \S*\s*2/50", shown)
        and "left" in shown
    )
    assert "\x1b" not in printed(monkeypatch, "trainNetwork", ROWS, ("Accuracy",))


def test_without_Verbose_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    train(nets.classifier(), observations(11, True, 1), training_options("sgdm", MaxEpochs=2, Verbose=False))
    train(nets.classifier(), observations(11, True, 1), training_options("sgdm", MaxEpochs=2))
    out, err = capsys.readouterr()
    assert out == "" and err.count("Training finished") == 1


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 61, 360000)] == ["00:00:00", "00:00:59", "00:01:01", "100:00:00"]


def log(trainer: str, folder: Path | None = None, **more: Any) -> TrainingInfo:
    metrics = {"Metrics": "accuracy"} if trainer == "trainnet" else {}
    options = training_options(
        "sgdm",
        trainer=trainer,
        MaxEpochs=3,
        MiniBatchSize=4,
        ValidationFrequency=3,
        Verbose=False,
        InitialLearnRate=0.001,
        **metrics,
        **more,
    )
    data = observations(11, True, 1)
    return train(
        nets.classifier(),
        data,
        options,
        validation=observations(6, True, 2),
        output=folder,
        loss="crossentropy" if trainer == "trainnet" else None,
    )


def test_info_mat_of_trainNetwork_has_matlabs_fields(tmp_path: Path) -> None:
    info = log("trainNetwork", tmp_path)
    saved = loadmat(tmp_path / "info.mat", squeeze_me=True, struct_as_record=False)["info"]
    assert saved._fieldnames == [
        "TrainingLoss", "TrainingAccuracy", "ValidationLoss", "ValidationAccuracy", "BaseLearnRate", "FinalValidationLoss", "FinalValidationAccuracy",
        "OutputNetworkIteration",
    ]  # fmt: skip
    assert np.array_equal(saved.TrainingLoss, info.TrainingLoss)
    assert np.flatnonzero(~np.isnan(saved.ValidationLoss)).tolist() == [0, 2, 5]
    assert saved.OutputNetworkIteration == 6 and saved.FinalValidationLoss == info.FinalValidationLoss


def test_info_mat_of_trainnet_has_matlabs_tables(tmp_path: Path) -> None:
    info = log("trainnet", tmp_path)
    saved = loadmat(tmp_path / "info.mat", squeeze_me=True, struct_as_record=False)["info"]
    assert saved._fieldnames == ["TrainingHistory", "ValidationHistory", "OutputNetworkIteration", "StopReason"]
    assert saved.TrainingHistory._fieldnames == ["Iteration", "Epoch", "LearnRate", "Loss", "Accuracy"]
    assert saved.TrainingHistory.Iteration.tolist() == [1, 2, 3, 4, 5, 6]
    assert saved.ValidationHistory.Iteration.tolist() == [0, 3, 6] and len(info.column("ValidationLoss")) == 6
    assert saved.StopReason == "Max epochs completed"


def test_history_json_holds_every_row(tmp_path: Path) -> None:
    info = log("trainNetwork", tmp_path)
    facts = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert facts["schema"] == "bridge.history/1" and facts["rows"] == [dict(row) for row in info.rows]
    assert facts["FinalValidationLoss"] == info.FinalValidationLoss and facts["StopReason"] == info.StopReason
    with pytest.raises(AttributeError, match="the log has no 'TrainingRMSE'"):
        _ = info.TrainingRMSE


def test_the_plot_is_one_page_that_needs_no_network(tmp_path: Path) -> None:
    log("trainNetwork", tmp_path, Plots="training-progress")
    text = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "finished" in text and "http-equiv" not in text and not re.search(r"https?://|src=|href=", text)
    charts = [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert [chart.get("aria-label") for chart in charts] == ["Accuracy", "Loss", "Base learn rate"]
    assert len(charts[1].findall("polyline")) == 2 and len(charts[1].findall("circle")) == 3
    assert not (tmp_path / "training.html").stat().st_size > 20_000


def test_a_plot_under_way_reloads_and_is_bounded() -> None:
    rows = [
        {
            "Iteration": n,
            "Epoch": 1,
            "TimeElapsed": 0.0,
            "BaseLearnRate": 0.1,
            "TrainingLoss": 1 / n if n != 5 else np.nan,
        }
        for n in range(1, 20_000)
    ]
    text = page(rows, (), False)
    assert 'http-equiv="refresh"' in text and "running: epoch 1, iteration 19999" in text
    assert max(len(points.split()) for points in re.findall(r'points="([^"]*)"', text)) <= MOST_POINTS
    assert page([], (), False)
