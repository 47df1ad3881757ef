"""The order of events against an independent float64 trainer in numpy, and against the facts of logs that MATLAB wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bridge.errors import BridgeError, UsageError
from bridge.network import Network
from bridge.options.options import TrainingOptions, training_options
from bridge.options.schedules import rate
from bridge.training.history import Row, TrainingInfo
from bridge.training.loop import validates_at
from bridge.training.order import iterations_per_epoch
from bridge.training.train import train
from tests.real import REAL, needs_real
from tests.training import nets
from tests.training.mini_trainer import MiniTrainer, Recipe

MAT = REAL / "mat"
RECIPES = [
    Recipe("trainNetwork", "sgdm", True),
    Recipe("trainNetwork", "adam", True, rate=0.002, best=True, frequency=2),
    Recipe("trainNetwork", "sgdm", False, population=False, l2=0.0),
    Recipe("trainnet", "sgdm", True, population=False, best=True),
    Recipe("trainnet", "adam", False, rate=0.002, population=False, best=True, frequency=2),
    Recipe(
        "trainnet", "sgdm", False, population=True, best=True, size=40, epochs=5
    ),  # fewer observations than MiniBatchSize
]


def observations(count: int, classifies: bool, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 8, (count, nets.FEATURES))
    return x, (rng.integers(0, len(nets.CLASSES), count) if classifies else rng.normal(0, 1, (count, 2)))


def matlab_options(recipe: Recipe, **more: Any) -> TrainingOptions:
    options: dict[str, Any] = {
        "InitialLearnRate": recipe.rate, "L2Regularization": recipe.l2, "MiniBatchSize": recipe.size, "MaxEpochs": recipe.epochs,
        "LearnRateSchedule": "piecewise", "LearnRateDropFactor": recipe.drop, "LearnRateDropPeriod": recipe.period,
        "ValidationFrequency": recipe.frequency, "Verbose": False, "Shuffle": "every-epoch",
        "BatchNormalizationStatistics": "population" if recipe.population else "moving",
        "OutputNetwork": "best-validation" if recipe.best else "last-iteration",
    }  # fmt: skip
    if recipe.solver == "sgdm":
        options["Momentum"] = recipe.momentum
    if recipe.trainer == "trainnet":
        options["Metrics"] = "accuracy" if recipe.classifies else "rmse"
    return training_options(recipe.solver, trainer=recipe.trainer, **options, **more)


def of_network(network: Network) -> tuple[dict[str, Any], Any, Any]:
    """Return learnables and batch-norm statistics as the numpy trainer has them."""
    fc1, bn, fc2 = (network.layers[name] for name in ("fc1", "bn", "fc2"))
    values = {
        "W1": fc1.Weights,
        "b1": fc1.Bias.ravel(),
        "scale": bn.Scale.ravel(),
        "offset": bn.Offset.ravel(),
        "W2": fc2.Weights,
        "b2": fc2.Bias.ravel(),
    }
    return {name: value.astype(np.float64) for name, value in values.items()}, *(
        each.ravel().astype(np.float64) for each in (bn.TrainedMean, bn.TrainedVariance)
    )


def of_module(module: Any) -> tuple[dict[str, Any], Any, Any]:
    names = {
        "W1": "fc1.weight",
        "b1": "fc1.bias",
        "scale": "bn.weight",
        "offset": "bn.bias",
        "W2": "fc2.weight",
        "b2": "fc2.bias",
    }
    state = {name: value.double().numpy() for name, value in module.state_dict().items()}
    return {key: state[name] for key, name in names.items()}, state["bn.running_mean"], state["bn.running_var"]


@pytest.mark.parametrize(
    "recipe", RECIPES, ids=lambda r: f"{r.trainer}-{r.solver}-{'classes' if r.classifies else 'responses'}-{r.size}"
)
def test_events_and_numbers_are_those_of_the_numpy_trainer(recipe: Recipe) -> None:
    """Oracle: `MiniTrainer`. In float64 throughout: rounding alone separates the two, 1e-9 leaves room for the Adam step's division."""
    network = nets.classifier() if recipe.classifies else nets.regression()
    x, y = observations(11, recipe.classifies, 1)
    validation = observations(6, recipe.classifies, 2)
    order = [np.random.default_rng(epoch).permutation(11) for epoch in range(recipe.epochs)]
    expected = MiniTrainer(recipe, *of_network(network)).train(x, y, order, validation)

    module = network.to_torch().double()
    name = {("trainNetwork", True): "ClassificationOutputLayer", ("trainNetwork", False): "RegressionOutputLayer"}
    loss = name.get((recipe.trainer, recipe.classifies), "crossentropy" if recipe.classifies else "mse")
    info = train(module, (x, y), matlab_options(recipe), loss=loss, validation=validation, order=order)

    metric = "Accuracy" if recipe.classifies else "RMSE"
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(info.TrainingLoss, expected.losses, **close)
    np.testing.assert_allclose(info.column(f"Training{metric}"), expected.metrics, **close)
    np.testing.assert_allclose(info.BaseLearnRate, expected.rates, **close)
    found = {
        row["Iteration"]: (row["ValidationLoss"], row[f"Validation{metric}"])
        for row in info.rows
        if "ValidationLoss" in row
    }
    assert list(found) == list(expected.validations)
    np.testing.assert_allclose(list(found.values()), list(expected.validations.values()), **close)
    np.testing.assert_allclose(
        [info.FinalValidationLoss, info.final[f"FinalValidation{metric}"]], expected.final, **close
    )
    assert info.OutputNetworkIteration == expected.output
    weights, mean, variance = of_module(info.model)
    for key, value in expected.weights.items():
        np.testing.assert_allclose(weights[key], value, rtol=1e-8, atol=1e-10, err_msg=key)
    np.testing.assert_allclose((mean, variance), expected.moving, rtol=1e-8, atol=1e-10)


def test_a_network_is_trained_in_single_precision_and_returned() -> None:
    """Oracle: `MiniTrainer`; single precision costs 1e-5 in six steps. Class names instead of indices, MATLAB's own loss."""
    recipe = Recipe("trainNetwork", "sgdm", True)
    network = nets.classifier()
    x, y = observations(11, True, 1)
    vx, vy = observations(6, True, 2)
    order = [np.random.default_rng(epoch).permutation(11) for epoch in range(3)]
    expected = MiniTrainer(recipe, *of_network(network)).train(x, y, order, (vx, vy))
    names = np.array(nets.CLASSES)
    info = train(network, (x, names[y]), matlab_options(recipe), validation=(vx, names[vy].tolist()), order=order)
    np.testing.assert_allclose(info.TrainingLoss, expected.losses, rtol=1e-5)
    assert info.network is not None
    weights, mean, variance = of_network(info.network)
    for key, value in expected.weights.items():
        np.testing.assert_allclose(weights[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
    np.testing.assert_allclose((mean, variance), expected.moving, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(info.network.layers["input"].Mean.ravel(), x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(info.network.layers["input"].StandardDeviation.ravel(), x.std(0), rtol=1e-6)
    assert network.layers["fc2"].Weights is not info.network.layers["fc2"].Weights
    assert not np.array_equal(network.layers["fc2"].Weights, info.network.layers["fc2"].Weights)


def small(**more: Any) -> TrainingOptions:
    defaults: dict[str, Any] = {"MaxEpochs": 4, "MiniBatchSize": 4, "Verbose": False, "InitialLearnRate": 0.002}
    return training_options("sgdm", **{**defaults, **more})


def test_the_output_network_has_the_statistics_of_shuffled_mini_batches() -> None:
    """Oracle: the pass written out in float64 numpy, two batch norms deep, over the mini-batches of the last epoch's order.

    The first layer's statistics are the same for every order; the second layer's are not.
    """
    module, rng = nets.two_batch_norms().to_torch().double(), np.random.default_rng(1)
    x, y = rng.normal(size=(11, nets.FEATURES)), rng.normal(size=(11, 2))
    order = [np.random.default_rng(epoch).permutation(11) for epoch in range(4)]
    options = small(BatchNormalizationStatistics="population", Shuffle="every-epoch", ResetInputNormalization=False)
    state = {
        name: value.numpy()
        for name, value in train(module, (x, y), options, loss="RegressionOutputLayer", order=order)
        .model.state_dict()
        .items()
    }
    shuffled, in_file_order = (second_statistics(state, x[rows]) for rows in (order[-1], np.arange(11)))
    for name, expected, other in zip(("running_mean", "running_var"), shuffled, in_file_order, strict=True):
        np.testing.assert_allclose(state[f"bn2.{name}"], expected, rtol=1e-9, atol=1e-12)
        assert np.abs(expected - other).max() > 1e-3


def second_statistics(state: dict[str, Any], x: Any) -> tuple[Any, Any]:
    """Return mean and biased variance of what reaches the second batch norm, in mini-batches of 4 and the rest."""
    seen = []
    for batch in (x[:4], x[4:8], x[8:]):
        a = np.tanh(batch @ state["fc1.weight"].T + state["fc1.bias"])
        n = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5) * state["bn1.weight"] + state["bn1.bias"]
        seen.append(np.tanh(n) @ state["fc2.weight"].T + state["fc2.bias"])
    return np.concatenate(seen).mean(0), np.concatenate(seen).var(0)


def test_input_statistics_stay_without_ResetInputNormalization() -> None:
    network = nets.classifier()
    info = train(network, observations(11, True, 1), small(ResetInputNormalization=False))
    assert info.network is not None
    assert np.array_equal(info.network.layers["input"].Mean, network.layers["input"].Mean)


def test_frozen_learnables_keep_their_bits() -> None:
    network = nets.classifier(frozen=True)
    info = train(network, observations(11, True, 1), small())
    assert info.network is not None
    assert np.array_equal(info.network.layers["fc1"].Weights, network.layers["fc1"].Weights)
    assert not np.array_equal(info.network.layers["fc2"].Weights, network.layers["fc2"].Weights)


# Facts of logs


def test_rmse_of_a_log_is_the_root_of_twice_the_loss() -> None:
    """A fact of logs that trainNetwork wrote; here to double rounding."""
    info = train(nets.regression(), observations(22, False, 1), small(), validation=observations(7, False, 2))
    np.testing.assert_allclose(info.TrainingRMSE, np.sqrt(2 * info.TrainingLoss), rtol=1e-6)
    np.testing.assert_allclose(info.FinalValidationRMSE, np.sqrt(2 * info.FinalValidationLoss), rtol=1e-6)


@pytest.mark.parametrize(("count", "size", "iterations"), [(11, 4, 2), (12, 4, 3), (3, 4, 1), (225, 32, 7)])
def test_iterations_are_epochs_times_whole_mini_batches(count: int, size: int, iterations: int) -> None:
    """225 images in mini-batches of 32 gave 7 iterations an epoch in a log; fewer than a mini-batch are one."""
    info = train(
        nets.classifier(batch_norm=False), observations(count, True, 1), small(MaxEpochs=2, MiniBatchSize=size)
    )
    assert info.iterations == 2 * iterations
    assert info.column("Epoch").tolist() == [1] * iterations + [2] * iterations


def logs() -> dict[str, dict[str, Any]]:
    """Return the logs that trainNetwork wrote, field by field."""
    from scipy.io import loadmat

    held = {
        "training_info_classification.mat": "traininfo",
        "squeezenet_transfer_with_info_2022.mat": "trainInfoStruct_1",
        "yolov2_detector_info.mat": "info",
    }
    found = {
        name: loadmat(MAT / name, squeeze_me=True, variable_names=[variable])[variable]
        for name, variable in held.items()
    }
    return {name: {field: np.atleast_1d(log[field].item()) for field in log.dtype.names} for name, log in found.items()}


@needs_real
def test_the_grids_of_real_logs_follow_from_their_options() -> None:
    """Oracle: MATLAB's own logs: their lengths, validation moments and rates, from observations and options."""
    for log in logs().values():
        moments = np.flatnonzero(~np.isnan(log["ValidationLoss"])) + 1 if "ValidationLoss" in log else np.empty(0, int)
        count = log["TrainingLoss"].size
        epochs = (
            1 if count % 30 else 30
        )  # 346 iterations of SqueezeNet are no whole epochs: a log of unknown options, taken as one
        observations = count // epochs * 32 + 31  # with a partial mini-batch, which is left out
        frequency, base = int(moments[2] - moments[1]) if len(moments) else 50, float(log["BaseLearnRate"][0])
        options = small(MaxEpochs=epochs, MiniBatchSize=32, InitialLearnRate=base, ValidationFrequency=frequency)
        iterations = range(1, epochs * iterations_per_epoch(observations, 32) + 1)
        assert len(iterations) == count
        if len(moments):
            assert [each for each in iterations if validates_at(each, count, options)] == moments.tolist()
        rates = [rate(options, each, count // epochs) for each in iterations[::50]]
        np.testing.assert_allclose(rates, log["BaseLearnRate"][::50], rtol=1e-7)


@needs_real
def test_the_fields_of_a_log_are_those_of_real_logs() -> None:
    validated = train(
        nets.classifier(), observations(11, True, 1), small(), validation=observations(6, True, 2)
    ).to_matlab()
    plain = train(nets.regression(), observations(11, False, 1), small()).to_matlab()
    classified, _, detected = logs().values()
    assert list(validated) == list(classified)
    assert set(detected) <= set(plain) <= {*detected, "OutputNetworkIteration"}  # that came in a later release


# How a training ends


def test_patience_counts_validations_that_are_no_smaller() -> None:
    """By hand: with rate 1e-30 nothing improves after the first validation, at iteration 1; 2, 4 and 6 make three."""
    info = train(
        nets.classifier(batch_norm=False),
        observations(11, True, 1),
        small(InitialLearnRate=1e-30, ValidationFrequency=2, ValidationPatience=3, MaxEpochs=9),
        validation=observations(6, True, 2),
    )
    assert info.StopReason == "Met validation criterion"
    assert info.iterations == 6


@pytest.mark.parametrize(("losses", "stop"), [((5, 6, 4, 5, 4, 7, 1), 6), ((5, 5, 5, 5, 1), 4)])
def test_patience_counts_anew_after_an_improvement(losses: tuple[float, ...], stop: int) -> None:
    """By hand, with MATLAB's defaults: a log that MATLAB wrote stops where the count begins anew at a smaller loss.

    A loss that equals the smallest counts, as documented.
    """
    told = iter(losses)

    def loss(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return y.sum() if y.requires_grad else torch.tensor(float(next(told, 0.0)))

    options = small(InitialLearnRate=1e-30, ValidationFrequency=1, ValidationPatience=3, MaxEpochs=9)
    data, held = observations(11, True, 1), observations(4, True, 2)
    info = train(nets.classifier(batch_norm=False), data, options, validation=held, loss=loss)
    assert info.StopReason == "Met validation criterion" and info.iterations == stop


def test_OutputFcn_gets_each_row_and_stops() -> None:
    seen: list[Row] = []

    def stop_at_five(row: Row) -> bool:
        seen.append(row)
        return row["Iteration"] == 5

    info = train(nets.classifier(), observations(11, True, 1), small(OutputFcn=stop_at_five))
    assert [row["Iteration"] for row in seen] == [1, 2, 3, 4, 5]
    assert {"Epoch", "BaseLearnRate", "TrainingLoss", "TrainingAccuracy", "TimeElapsed"} <= set(seen[0])
    assert info.StopReason == "Stopped by OutputFcn" and info.iterations == 5


def test_a_loss_that_is_not_finite_names_iteration_and_layer(tmp_path: Path) -> None:
    network = nets.classifier(batch_norm=False)
    x, y = observations(11, True, 1)

    def spoil(row: Row) -> None:
        if row["Iteration"] == 3:
            x[:] = np.nan

    module = network.to_torch().double()
    with pytest.raises(UsageError, match="nan at iteration 4 [(]epoch 2[)]") as caught:
        train(module, (x, y), small(OutputFcn=spoil), loss="ClassificationOutputLayer", cache_features=False)
    assert "layer 'input'" in caught.value.cause


def test_features_that_are_not_finite_are_told_from_a_layer_that_trains() -> None:
    pixels, names = images(12)
    spoiled = pixels.astype(np.float32)
    spoiled[3, 0, 0, 0] = np.nan
    with pytest.raises(UsageError, match="the loss is nan at iteration 1") as caught:
        train(nets.cnn(), (spoiled, names), small(MiniBatchSize=12, ResetInputNormalization=False), cache_features=True)
    assert caught.value.cause.startswith("what comes to layer 'conv2' is not finite already")


@pytest.mark.parametrize(
    ("rate", "loss", "cause"),
    [
        (1e21, "inf", "every layer puts out finite values, but the loss is not"),  # it squares them
        (6e37, "(inf|nan)", "layer 'fc2' is the first that puts out a value that is not finite"),  # a weight of 5e38
    ],
)
def test_the_layer_whose_learnables_explode_is_named(rate: float, loss: str, cause: str) -> None:
    """By hand: the first step moves the weights of fc2, with factor 10, to 9 times the rate, and those of fc1 to 0.3 times."""
    network = nets.regression(batch_norm=False)
    with pytest.raises(UsageError, match=f"the loss is {loss} at iteration 2 ") as caught:
        train(network, observations(11, False, 1), small(InitialLearnRate=rate, L2Regularization=0))
    assert caught.value.cause == cause


@pytest.mark.parametrize("solver", ["sgdm", "adam", "rmsprop"])
@pytest.mark.parametrize(
    "given", [{"InitialLearnRate": 1e38}, {"InitialLearnRate": 1e300}, {"L2Regularization": 1e300}]
)
def test_numbers_beyond_single_precision_end_as_infinite_ones_do(solver: str, given: dict[str, float]) -> None:
    """A factor of 20 takes the rate of fc2's bias beyond 3e38: MATLAB computes in single, where that is Inf."""
    options = training_options(solver, MaxEpochs=4, MiniBatchSize=4, Verbose=False, **given)
    with pytest.raises(UsageError, match=r"the loss is (inf|nan|-inf) at iteration 2 "):
        train(nets.regression(batch_norm=False), observations(11, False, 1), options)


# Determinism


def test_a_training_is_a_function_of_its_seed() -> None:
    """Shuffling, dropout: the same bits for the same seed, others for another; torch's own random state is left alone."""
    network, data = nets.cnn(dropout=True), images(12)
    before = torch.get_rng_state()
    runs = [train(network, data, small(Shuffle="every-epoch"), rng=seed) for seed in (3, 3, 4)]
    assert torch.equal(before, torch.get_rng_state())
    assert bits(runs[0]) == bits(runs[1]) != bits(runs[2])


def images(count: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8), np.array(nets.CLASSES)[np.arange(count) % 3]


def bits(info: TrainingInfo) -> bytes:
    return b"".join(value.numpy().tobytes() for value in info.model.state_dict().values())


def test_a_loss_of_ones_own_gets_the_index_of_each_label() -> None:
    """Oracle: the loss of the output layer, which takes logits: the first loss to float32 rounding of one logarithm."""
    x, _ = observations(9, True, 1)
    names = [nets.CLASSES[index % 3] for index in range(9)]
    expected = train(nets.classifier(), (x, names), small(MiniBatchSize=9)).TrainingLoss[0]
    own = train(
        nets.classifier(),
        (x, names),
        small(MiniBatchSize=9),
        loss=lambda y, t: torch.nn.functional.nll_loss(y.log(), t),
    )
    assert own.TrainingLoss[0] == pytest.approx(expected, rel=1e-5) and not own.metrics
    module = nets.classifier().to_torch(include_softmax=False)
    alone = train(
        module, (torch.tensor(x), torch.arange(9) % 3), small(MiniBatchSize=9), loss=torch.nn.CrossEntropyLoss()
    )
    assert alone.TrainingLoss[0] == pytest.approx(expected, rel=1e-5)


# Words that make no sense


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OutputNetwork": "best-validation"}, "there are no validation data"),
        ({"ObjectiveMetricName": "rmse"}, "ObjectiveMetricName is 'rmse'"),
    ],
)
def test_options_that_ask_for_what_is_not_there(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(nets.classifier(), observations(11, True, 1), small(**change))


def test_what_could_only_fail_later_is_refused_at_once(tmp_path: Path) -> None:
    data = observations(11, True, 1)
    for change, message in (
        ({"CheckpointPath": str(tmp_path / "none")}, "no such folder"),
        ({"MiniBatchSize": 1}, "'bn' has a single value"),
    ):
        with pytest.raises(UsageError, match=message):
            train(nets.classifier(), data, small(**change))
    for seed, message in ((-1, "the seed is -1"), (0.5, "the seed is 0.5"), ("0", "no random number generator '0'")):
        with pytest.raises(UsageError, match=message):
            train(nets.classifier(), data, small(), rng=seed)  # type: ignore[arg-type]
    with pytest.raises(BridgeError, match="'lm' is not implemented"):
        train(nets.classifier(), data, training_options("lm"))
    with pytest.raises(UsageError, match="nothing to train"):
        train(torch.nn.Tanh(), data, small(), loss=torch.nn.functional.mse_loss)


def test_options_that_do_nothing_here_are_mentioned(tmp_path: Path) -> None:
    given = small(Plots="training-progress", WorkerLoad=[1, 2], CheckpointPath=str(tmp_path))
    notes = train(nets.classifier(), observations(11, True, 1), given, output=tmp_path / "made").notes
    assert {note.split()[0] for note in notes} >= {"WorkerLoad", "CheckpointPath"} and not any(
        "Plots" in note for note in notes
    )
    x, y = observations(11, True, 1)
    notes = train(nets.classifier(), (x, y), given, validation=(x[:0], y[:0])).notes
    assert (
        any("Plots" in note for note in notes)
        and "the validation data are empty: the network is not validated" in notes
    )


def test_metrics_that_are_not_known() -> None:
    options = training_options("sgdm", trainer="trainnet", Metrics=["accuracy", "fscore"], Verbose=False)
    with pytest.raises(UsageError, match="the metric 'fscore' is not known"):
        train(nets.classifier(), observations(11, True, 1), options)


def test_a_module_that_does_not_end_in_softmax_says_so() -> None:
    module = nets.classifier().to_torch(include_softmax=False)
    with pytest.raises(UsageError, match="needs probabilities"):
        train(module, observations(11, True, 1), small(), loss="ClassificationOutputLayer")


def test_a_module_alone_needs_a_loss() -> None:
    with pytest.raises(UsageError, match="not said which loss"):
        train(torch.nn.Linear(4, 3), observations(11, True, 1), small())
    with pytest.raises(UsageError, match="not said which loss"):
        train(nets.classifier().to_torch(), observations(11, True, 1), small())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("word", ["gpu", "multi-gpu", "parallel-gpu"])
def test_a_gpu_that_is_not_there_is_asked_for(word: str) -> None:
    with pytest.raises(UsageError, match=f"ExecutionEnvironment is '{word}', and there is no GPU"):
        train(nets.classifier(), observations(11, True, 1), small(ExecutionEnvironment=word))


@pytest.mark.parametrize("message", ["DataLoader worker (pid 1) is killed by signal: Killed.", "something else"])
def test_a_worker_process_that_ends_is_told_wherever_the_training_is(message: str) -> None:
    """torch raises in a handler of a signal, so behind any line; here that line is in an OutputFcn."""

    def handler(row: object) -> None:
        raise RuntimeError(message)

    options = training_options("sgdm", MaxEpochs=1, MiniBatchSize=4, Verbose=False, OutputFcn=handler)
    x = torch.arange(8.0).reshape(8, 1)
    ended = message.startswith("DataLoader")
    with pytest.raises(UsageError if ended else RuntimeError, match="process that loads" if ended else message):
        train(torch.nn.Linear(1, 1), (x, x), options, loss=torch.nn.functional.mse_loss)
