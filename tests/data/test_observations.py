"""What users give as data, against hand-made arrays, MATLAB's own files, and everything that should be refused before training starts."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import bridge
from bridge.data import mat_data
from bridge.data.convert import images as convert_images
from bridge.data.expected import Expected, lacking
from bridge.data.loading import Loader
from bridge.data.observations import Sources, sources
from bridge.data.sources import Request, SequenceSource
from bridge.errors import BridgeError, UnreadableError, UnsupportedError, UsageError
from bridge.images import augmentedImageDatastore, imageDataAugmenter, imageDatastore
from bridge.network.activations import Activation
from bridge.options.options import saved_training_options, training_options
from bridge.training.order import Order, all_batches, mini_batches
from bridge.training.train import train
from fixtures import layers as L
from fixtures import mat, networks, objects
from tests.real import REAL, needs_real
from tests.training import nets

MAT = REAL / "mat"
OPTIONS = training_options("sgdm", MiniBatchSize=2, Verbose=False)
CNN = nets.cnn()
IMAGES = Expected.of(CNN, True)


def take(data: Any, expected: Expected = IMAGES, options: Any = OPTIONS, **more: Any) -> Sources:
    return sources(data, more.pop("validation", None), expected, options, **more)


def everything(source: Any, epoch: int = 1) -> tuple[Any, Any]:
    batch = source.load(Request(epoch, np.arange(len(source))))
    return batch.inputs[0], batch.targets


# Arrays


def test_images_in_both_orders_are_the_same() -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    names = ["ant", "bee", "cat", "bee", "ant"]
    for given in (x, x.transpose(2, 3, 1, 0), torch.from_numpy(x)):
        pixels, labels = everything(take((given, names)).train)
        assert np.array_equal(pixels, x) and labels.tolist() == [0, 1, 2, 1, 0]


def test_where_both_orders_fit_the_layout_is_asked_for() -> None:
    """3 images of 3 x 3 x 3: nothing tells which axis is which."""
    at = Expected.of(nets.load(small_images()), True).inputs[0]
    x = np.arange(81.0).reshape(3, 3, 3, 3)
    with pytest.raises(UsageError, match="could be either of two orders") as caught:
        convert_images(x, at, None)
    assert "layout='HWCN'" in caught.value.hint
    assert np.array_equal(convert_images(x, at, "NCHW"), x)
    assert np.array_equal(convert_images(x, at, "HWCN"), x.transpose(3, 2, 0, 1))
    with pytest.raises(UsageError, match="layout is 'NHWC'"):
        convert_images(x, at, "NHWC")


def small_images() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return (
        L.imageInputLayer((3, 3, 3), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (3, 3, 3), 2),
        L.softmaxLayer("softmax"),
        L.classificationLayer("out", ["a", "b"]),
    )


def test_classes_are_joined_by_name_not_by_order() -> None:
    """The network's classes are in an order of their own; MATLAB's, for data without a network that names them, is alphabetical."""
    expected = Expected(IMAGES.inputs, IMAGES.output, ("cat", "ant", "bee"), True, True)
    x = np.zeros((3, 3, 8, 8))
    held = take((x, ["ant", "bee", "cat"]), expected)
    assert everything(held.train)[1].tolist() == [1, 2, 0] and held.classes == ("cat", "ant", "bee")
    unnamed = take((x, np.array(["bee", "Cat", "ant"])), Expected(IMAGES.inputs, IMAGES.output))
    assert unnamed.classes == ("Cat", "ant", "bee") and everything(unnamed.train)[1].tolist() == [2, 0, 1]


def test_responses_in_matlabs_and_pythons_shapes() -> None:
    expected = Expected.of(nets.regression(), False)
    x, y = np.random.default_rng(0).normal(size=(5, 4)), np.arange(10.0).reshape(5, 2)
    for given in (y, y.T.reshape(1, 1, 2, 5), torch.from_numpy(y), y.astype(int)):
        assert np.array_equal(everything(take((x, given), expected).train)[1], y)


def test_pixel_labels_and_undefined_ones() -> None:
    expected = Expected.of(nets.load(networks.unet()), True)
    x = np.zeros((2, 1, 16, 24))
    names = np.full((2, 16, 24), "road", dtype=object)
    names[0, 0, 0], names[1] = "", "sky"
    names[1, 3, 3] = "background"
    targets = everything(take((x, names), expected).train)[1]
    assert targets.shape == (2, 16, 24) and targets[0, 0, 0] == -1 and targets[0, 0, 1] == 1 and targets[1, 0, 0] == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((5, 8, 8, 3)), [0] * 5), "does not fit the network"),
        ((np.zeros((5, 3, 8, 9)), [0] * 5), "does not fit the network"),
        ((np.zeros((5, 3, 8, 8)), [0] * 4), "5 inputs and 4 targets"),
        ((np.zeros((2, 3, 8, 8)), ["ant", "bat"]), "have the label 'bat', the network has no such class"),
        ((np.zeros((2, 3, 8, 8)), ["ant", "bee"]), "no observation of class 'cat'"),
        ((np.zeros((3, 3, 8, 8)), [1, 2, 3]), "the class index 3, the network has 3 classes"),
        ((np.zeros((3, 3, 8, 8)), [0.0, 1.0, 2.0]), "have targets of torch.float64"),
        (((np.zeros((3, 3, 8, 8)),) * 2, [0, 1, 2]), "have 2 inputs"),
        ((np.zeros((3, 3, 8, 8), dtype=complex), [0, 1, 2]), "is no data of a network"),
        (np.zeros((3, 3, 8, 8)), "are a ndarray"),
        (12, "are a int"),
        ("no/such/folder", "does not exist"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        take(data)
    assert caught.value.cause and caught.value.hint


def test_indices_from_one_are_told_from_those_from_zero() -> None:
    with pytest.raises(UsageError) as caught:
        take((np.zeros((3, 3, 8, 8)), [1, 2, 3]))
    assert caught.value.hint == "subtract 1"
    numbered = Expected(IMAGES.inputs, IMAGES.output, ("1", "2", "3"))
    with pytest.raises(UsageError, match="numbers as labels"):
        take((np.zeros((3, 3, 8, 8)), [0, 1, 2]), numbered)


@pytest.mark.parametrize(("scale", "message"), [(1 / 255, "values up to 1"), (1, None), (255, None)])
def test_a_pixel_range_that_contradicts_the_input_layer(scale: float, message: str | None) -> None:
    """The mean of the input layer is about 110: it was computed on 0..255."""
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8)) * scale
    x[0, 0, 0, 0] = 255 * scale
    if message is None:
        take((x, [0, 1, 2]))
        return
    with pytest.raises(UsageError, match=message) as caught:
        take((x, [0, 1, 2]))
    assert "do not divide by 255" in caught.value.hint


def test_class_counts_that_disagree_with_the_network() -> None:
    unnamed = Expected(IMAGES.inputs, IMAGES.output)
    with pytest.raises(UsageError, match="have 2 classes, the network predicts 3") as caught:
        take((np.zeros((2, 3, 8, 8)), ["a", "b"]), unnamed)
    assert "with_classes" in caught.value.hint


def test_labels_for_a_network_that_predicts_numbers() -> None:
    with pytest.raises(UsageError, match="have names as targets"):
        take((np.zeros((2, 4)), ["a", "b"]), Expected.of(nets.regression(), False))


def test_what_a_training_lacks_is_told_by_its_network() -> None:
    assert lacking(nets.cnn(), "trainNetwork") == {"batch normalization", "elements", "yolo", "yolov2", "zscore"}
    assert lacking(nets.classifier(), "trainnet") == {"elements", "yolo", "yolov2"}
    assert "elements" not in lacking(nets.load(networks.unet()), "trainNetwork")
    assert {"classes", "crossentropy"} <= lacking(nets.regression(), "trainnet")
    assert {"classes", "crossentropy"} <= lacking(None, "trainnet", "mse")
    assert not {"classes", "crossentropy"} & lacking(None, "trainnet", "crossentropy")


def test_a_mini_batch_above_the_number_of_observations_is_a_note() -> None:
    held = take((np.zeros((3, 3, 8, 8)), [0, 1, 2]), options=training_options("sgdm"))
    assert held.notes == ("MiniBatchSize 128 is above the 3 observations: each epoch is one mini-batch of 3",)


# Sequences

SEQUENCES = [np.arange(4 * n, dtype=float).reshape(4, n) for n in (3, 5, 2)]  # C x T


def sequence_source(**options: Any) -> SequenceSource:
    expected = Expected.of(nets.load(networks.gru_classifier()), True)
    source = take((SEQUENCES, ["a", "b", "c"]), expected, training_options("sgdm", **options)).train
    assert isinstance(source, SequenceSource)
    return source


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("length", "steps"), [("longest", 5), ("shortest", 2), (6, 6)])
def test_sequences_are_padded_and_cut_as_told(length: Any, steps: int, left: bool) -> None:
    """By hand: N,T,C; padding of 7 on the side told, cutting on the same side."""
    batch, _ = everything(
        sequence_source(
            SequenceLength=length, SequencePaddingValue=7, SequencePaddingDirection="left" if left else "right"
        )
    )
    assert batch.shape == (3, steps, 4)
    for found, sequence in zip(batch, SEQUENCES, strict=True):
        given = sequence.T[-steps:] if left else sequence.T[:steps]
        padding = np.full((steps - len(given), 4), 7.0)
        assert np.array_equal(found, np.concatenate([padding, given] if left else [given, padding]))


def test_a_mini_batch_is_as_long_as_its_own_longest_sequence_also_where_it_is_shared() -> None:
    source = sequence_source()
    assert source.load(Request(1, np.array([0, 2]))).inputs[0].shape == (2, 3, 4)
    assert source.load(Request(1, np.array([0, 1]), slice(0, None, 2))).inputs[0].shape == (1, 5, 4)


def test_the_era_tells_how_a_sequence_lies() -> None:
    """trainNetwork: C x T; trainnet: T x C; InputDataFormats says otherwise."""
    expected = Expected.of(nets.load(networks.gru_classifier()), True)
    turned = [each.T for each in SEQUENCES]
    labels = ["a", "b", "c"]
    old, _ = everything(take((SEQUENCES, labels), expected).train)
    for given, more in ((turned, {}), (SEQUENCES, {"InputDataFormats": "CTB"})):
        new, _ = everything(take((given, labels), expected, training_options("sgdm", trainer="trainnet", **more)).train)
        assert np.array_equal(old, new)
    with pytest.raises(UsageError, match="does not have 4 channels") as caught:
        take((turned, labels), expected)
    assert "would fit as T x C" in caught.value.cause


def test_targets_of_every_step() -> None:
    expected = Expected.of(nets.load(networks.bilstm_regression()), False)
    inputs = [np.zeros((3, n)) for n in (2, 4)]
    targets = [np.arange(2.0 * n).reshape(2, n) for n in (2, 4)]
    held = take((inputs, targets), expected, training_options("sgdm", SequencePaddingValue=9))
    _, found = everything(held.train)
    assert np.array_equal(found[1], targets[1].T) and np.array_equal(
        found[0], np.concatenate([targets[0].T, np.full((2, 2), 9.0)])
    )
    assert any("padded steps" in note for note in held.notes)
    with pytest.raises(UsageError, match="has 4 steps, its target 3"):
        take((inputs, [targets[0], targets[1][:, :3]]), expected)


def test_classes_of_every_step_are_undefined_where_they_are_padding() -> None:
    rng = np.random.default_rng(0)
    made = (
        L.sequenceInputLayer(2, "in"), L.lstmLayer(rng, "lstm", 2, 3), L.fullyConnectedLayer(rng, "fc", 3, 2),
        L.softmaxLayer("softmax", sequences=True), L.classificationLayer("out", ["off", "on"], sequences=True),
    )  # fmt: skip
    network = nets.load(made)
    inputs = [np.zeros((2, 1)), np.zeros((2, 3))]
    labels = [np.array(["on"], dtype=object), np.array([["off", "on", "on"]], dtype=object)]
    held = take((inputs, labels), Expected.of(network, True))
    assert everything(held.train)[1].tolist() == [[1, -1, -1], [0, 1, 1]]
    as_tensors = [torch.tensor([1]), torch.tensor([0, 1, 1])]
    assert everything(take((inputs, as_tensors), Expected.of(network, True)).train)[1].tolist() == [
        [1, -1, -1],
        [0, 1, 1],
    ]
    info = train(network, (inputs, labels), training_options("sgdm", MaxEpochs=2, Verbose=False))
    assert np.isfinite(info.TrainingLoss).all()


@pytest.mark.parametrize(("trainer", "last"), [("trainNetwork", 2), ("trainnet", 1)])
def test_a_number_splits_the_sequences_of_a_mini_batch(trainer: str, last: int) -> None:
    """By hand: 3, 5 and 2 steps become pieces of 2, padded to a multiple of 2 (trainNetwork) or to the longest (trainnet)."""
    given = SEQUENCES if trainer == "trainNetwork" else [each.T for each in SEQUENCES]
    options = training_options("sgdm", trainer=trainer, SequenceLength=2, SequencePaddingValue=7)
    source = take((given, ["a", "b", "c"]), Expected.of(nets.load(networks.gru_classifier()), True), options).train
    assert isinstance(source, SequenceSource) and source.pieces(np.arange(3)) == 3 and source.pieces(np.array([2])) == 1
    whole = everything(source)[0]
    pieces = [source.load(Request(1, np.arange(3), piece=piece)) for piece in range(3)]
    assert torch.equal(torch.cat([each.inputs[0] for each in pieces], 1), whole)
    assert [each.inputs[0].shape[1] for each in pieces] == [2, 2, last]
    assert pieces[2].inputs[0][1, 0, 0] == 4 and (pieces[2].inputs[0][0] == 7).all()
    assert all(torch.equal(each.targets, torch.arange(3)) for each in pieces)


def test_an_array_of_sequences_is_split_as_a_list_of_them() -> None:
    array = np.arange(48.0).reshape(3, 4, 4)
    options = training_options("sgdm", trainer="trainnet", SequenceLength=3)
    expected = Expected.of(nets.load(networks.gru_classifier()), True)
    found, listed = (take((given, ["a", "b", "c"]), expected, options).train for given in (array, list(array)))
    assert isinstance(found, SequenceSource) and found.pieces(np.arange(3)) == 2
    assert torch.equal(everything(found)[0], everything(listed)[0])


def test_TargetDataFormats_tells_how_targets_lie_where_inputs_lie_otherwise() -> None:
    expected = replace(Expected.of(nets.load(networks.gru_classifier()), False), output=Activation("CBT", (2,)))
    inputs, targets = [np.zeros((4, 2))], [np.array([[1.0, 2.0], [3.0, 4.0]])]
    options = training_options("sgdm", trainer="trainnet", InputDataFormats="CTB", TargetDataFormats="TCB")
    assert np.array_equal(everything(take((inputs, targets), expected, options).train)[1][0], targets[0])
    assert np.array_equal(
        everything(take((inputs, targets), expected, options.replace(TargetDataFormats="auto")).train)[1][0],
        targets[0].T,
    )


# Images in files


def write_images(
    folder: Path,
    classes: tuple[str, ...] = nets.CLASSES,
    count: int = 4,
    size: tuple[int, int] = (8, 8),
    mode: str = "RGB",
) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
            Image.fromarray(rng.integers(0, 256, (*size, *channels), dtype=np.uint8), mode).save(
                folder / name / f"{index}.png"
            )
    return folder


def test_a_folder_of_images_is_labelled_by_its_folders_and_resized(tmp_path: Path) -> None:
    """Oracle: augmentedImageDatastore, and the files themselves where their size fits."""
    write_images(tmp_path / "fit")
    pixels, labels = everything(take(tmp_path / "fit").train)
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert np.array_equal(
        pixels[5].numpy().transpose(1, 2, 0), np.asarray(Image.open(tmp_path / "fit" / "bee" / "1.png"))
    )
    write_images(tmp_path / "large", size=(20, 16))
    held = take(str(tmp_path / "large"))
    expected = augmentedImageDatastore(
        (8, 8), imageDatastore(tmp_path / "large", IncludeSubfolders=True, LabelSource="foldernames")
    )
    assert np.array_equal(everything(held.train)[0][3], expected[3][0])
    assert any("resized" in note for note in held.notes)


def test_alpha_is_what_imread_makes_of_it(tmp_path: Path) -> None:
    write_images(tmp_path, mode="RGBA")
    pixels, _ = everything(take(tmp_path).train)
    assert np.array_equal(pixels[0].numpy().transpose(1, 2, 0), bridge_imread(tmp_path / "ant" / "0.png"))


def bridge_imread(path: Path) -> Any:
    from bridge.images import imread

    return imread(path)


def test_augmentation_is_a_function_of_seed_epoch_and_number_in_any_process(tmp_path: Path) -> None:
    """The same images from worker processes, in another order, and in mini-batches; others in another epoch."""
    store = imageDatastore(write_images(tmp_path), IncludeSubfolders=True, LabelSource="foldernames")
    augmented = augmentedImageDatastore(
        (8, 8), store, DataAugmentation=imageDataAugmenter(RandRotation=(-90, 90), RandXReflection=True)
    )
    source = take(augmented, seed=5).train
    whole, _ = everything(source, epoch=2)
    requests = [Request(2, indices) for indices in all_batches(np.arange(12)[::-1], 5)]
    source.workers = 2
    parts = torch.cat([batch.inputs[0] for batch in Loader(source).load(requests)])
    assert torch.equal(parts.flip(0), whole)
    assert not torch.equal(everything(source, epoch=3)[0], whole) and not torch.equal(
        everything(take(augmented, seed=6).train, epoch=2)[0], whole
    )
    before = torch.get_rng_state()
    list(Loader(source).load(requests))
    assert torch.equal(before, torch.get_rng_state())


def test_worker_processes_are_those_that_the_options_say(tmp_path: Path) -> None:
    """Few images are read by the training itself, unless the options say otherwise."""
    write_images(tmp_path)
    workers = [
        take(tmp_path, options=training_options("sgdm", **more)).train.workers > 0
        for more in ({}, {"DispatchInBackground": True})
    ]
    assert workers == [False, True]
    background = [
        take(tmp_path, options=training_options("sgdm", PreprocessingEnvironment=word)).train.workers > 0
        for word in ("serial", "parallel")
    ]
    assert background == [False, True]


def test_an_image_that_is_damaged_is_told_alike_by_a_worker_process(tmp_path: Path) -> None:
    damaged = write_images(tmp_path) / "bee" / "3.png"
    damaged.write_bytes(damaged.read_bytes()[:120])
    told = []
    for background in (False, True):
        with pytest.raises(UnreadableError) as caught:
            everything(take(tmp_path, options=training_options("sgdm", DispatchInBackground=background)).train)
        told.append(str(caught.value))
    assert told[0] == told[1] and "3.png" in told[0]


def empty_class(folder: Path) -> None:
    (write_images(folder) / "dog").mkdir()
    (folder / "dog" / "notes.txt").touch()


def no_image(folder: Path) -> None:
    folder.mkdir(exist_ok=True)


def flat(folder: Path) -> None:
    (write_images(folder, ("one",)) / "one" / "0.png").rename(folder / "0.png")
    for path in (folder / "one").iterdir():
        path.unlink()
    (folder / "one").rmdir()


def alone(folder: Path) -> None:
    write_images(folder)
    for path in list((folder / "bee").iterdir())[1:]:
        path.unlink()


def mixed(folder: Path) -> None:
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(write_images(folder) / "bee" / "gray.png")


def gray(folder: Path) -> None:
    write_images(folder, mode="L")


def damaged(folder: Path) -> None:
    (write_images(folder) / "bee" / "x.png").write_bytes(b"\x89PNG and no more")


def deep(folder: Path) -> None:
    Image.fromarray(np.full((8, 8), 3000, dtype=np.uint16)).save(write_images(folder) / "bee" / "deep.png")


def deep_colour(folder: Path) -> None:
    """Pillow writes no such file: the chunks of 8 x 8 pixels of 3 x 16 bits, by hand."""
    chunks = [
        (b"IHDR", struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(8 * bytes(1 + 8 * 6))),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    (write_images(folder) / "bee" / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def other_classes(folder: Path) -> None:
    write_images(folder, ("ant", "bat", "cat"))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (empty_class, UsageError, "the folder 'dog' in .* holds no images"),
        (no_image, UsageError, "no images in"),
        (flat, UsageError, "have no labels"),
        (alone, UsageError, "class 'bee' has a single image"),
        (mixed, UsageError, r"gray.png has 1 channel\(s\), the network takes 3"),
        (gray, UsageError, r"has 1 channel\(s\), the network takes 3"),
        (damaged, UnreadableError, "1 of 13 images cannot be read"),
        (deep, UnsupportedError, "deep.png has 16 bits or more a channel"),
        (deep_colour, UnsupportedError, "deep.png has 16 bits or more a channel"),
        (other_classes, UsageError, "have the label 'bat', the network has no such class"),
    ],
)
def test_folders_that_cannot_be_trained_on(tmp_path: Path, make: Any, kind: type[BridgeError], message: str) -> None:
    make(tmp_path)
    with pytest.raises(kind, match=message) as caught:
        take(tmp_path)
    assert caught.value.cause and caught.value.hint


def test_gray_and_colour_are_mixed_where_ColorPreprocessing_makes_them_one(tmp_path: Path) -> None:
    mixed(tmp_path)
    store = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    held = take(augmentedImageDatastore((8, 8, 3), store, ColorPreprocessing="gray2rgb"))
    assert everything(held.train)[0].shape == (13, 3, 8, 8)


def test_a_datastore_of_another_size_or_without_labels(tmp_path: Path) -> None:
    write_images(tmp_path)
    store = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    with pytest.raises(UsageError, match="resized to"):
        take(augmentedImageDatastore((9, 8), store))
    with pytest.raises(UsageError, match="have no labels"):
        take(imageDatastore(tmp_path, IncludeSubfolders=True))


def write_table(folder: Path, lines: list[str], header: str = "path,label,split,position") -> Path:
    path = folder / "data.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_table_of_bridgeData_gives_split_and_order(tmp_path: Path) -> None:
    """As bridgeData writes it: quoted, positions from 1 in each split, here in lines of another order."""
    write_images(tmp_path)
    lines = [
        '"cat/1.png","cat",train,2',
        '"ant/0.png","ant",train,1',
        '"bee/3.png","bee",validation,1',
        '"bee/2.png","bee",train,3',
    ]
    held = take(write_table(tmp_path, lines))
    pixels, labels = everything(held.train)
    assert labels.tolist() == [0, 2, 1] and np.array_equal(
        pixels[0].numpy().transpose(1, 2, 0), np.asarray(Image.open(tmp_path / "ant" / "0.png"))
    )
    assert held.validation is not None and everything(held.validation)[1].tolist() == [1]


def test_positions_of_a_table_are_numbers(tmp_path: Path) -> None:
    """Twelve of them: as texts, 10 would come before 2."""
    write_images(tmp_path)
    names = ["ant", "bee", "cat"]
    lines = [f'"{names[k % 3]}/{k // 3}.png","{names[k % 3]}",train,{k + 1}' for k in range(12)]
    found = take(write_table(tmp_path, lines[::-1])).train
    assert everything(found)[1].tolist() == [0, 1, 2] * 4


def test_numbers_as_labels_of_a_table_are_responses(tmp_path: Path) -> None:
    write_images(tmp_path)
    expected = Expected(IMAGES.inputs, Expected.of(nets.mlp(L.regressionLayer("o"), 1), False).output, None, False)
    held = take(write_table(tmp_path, ['"cat/1.png","1.5",train,1', '"ant/0.png","-2",train,2']), expected)
    assert everything(held.train)[1].tolist() == [[1.5], [-2.0]]


@pytest.mark.parametrize(
    ("lines", "header", "kind", "message"),
    [
        (["ant/0.png,ant,train,1"], "file,class", UnreadableError, "is no file of bridgeData"),
        (["ant/0.png,ant,test,1"], "path,label,split,position", UnreadableError, "is no file of bridgeData"),
        (["ant/9.png,ant,train,1"], "path,label,split,position", UnreadableError, "9.png does not exist"),
        (["ant/0.png,ant,validation,1"], "path,label,split,position", UsageError, "has no training images"),
        ([], "path,label,split,position", UsageError, "has no training images"),
    ],
)
def test_tables_that_are_none(
    tmp_path: Path, lines: list[str], header: str, kind: type[BridgeError], message: str
) -> None:
    write_images(tmp_path)
    with pytest.raises(kind, match=message):
        take(write_table(tmp_path, lines, header))


# .mat files


def cells(values: list[Any]) -> Any:
    made = np.empty((len(values), 1), dtype=object)
    made[:, 0] = values
    return made


def test_images_in_a_mat_file_lie_in_matlabs_order(tmp_path: Path) -> None:
    """Oracle: the same arrays in Python. Training and validation are told apart by name; test data are left alone."""
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    names = ["ant", "bee", "cat", "bee", "ant"]
    held = {
        "XTrain": x.transpose(2, 3, 1, 0),
        "YTrain": cells(names),
        "XVal": x[:2].transpose(2, 3, 1, 0),
        "YVal": cells(names[:2]),
        "XTest": x,
        "YTest": cells(names),
    }
    savemat(tmp_path / "data.mat", held)
    found = take(tmp_path / "data.mat")
    pixels, labels = everything(found.train)
    assert np.array_equal(pixels, x) and labels.tolist() == [0, 1, 2, 1, 0]
    assert found.validation is not None and everything(found.validation)[1].tolist() == [0, 1]


def test_numeric_labels_of_a_mat_file_are_names(tmp_path: Path) -> None:
    """categorical([1 2 3]) has the categories 1, 2 and 3."""
    x = np.zeros((8, 8, 3, 3))
    savemat(tmp_path / "data.mat", {"X": x, "Y": np.array([[3.0], [1.0], [2.0]])})
    held = take(tmp_path / "data.mat", Expected(IMAGES.inputs, IMAGES.output))
    assert held.classes == ("1", "2", "3") and everything(held.train)[1].tolist() == [2, 0, 1]


def test_sequences_in_a_mat_file(tmp_path: Path) -> None:
    savemat(tmp_path / "data.mat", {"X": cells(SEQUENCES), "Y": cells(["a", "c", "b"])})
    expected = Expected.of(nets.load(networks.gru_classifier()), True)
    found, labels = everything(take(tmp_path / "data.mat", expected).train)
    assert found.shape == (3, 5, 4) and labels.tolist() == [0, 2, 1]


def test_labels_of_a_mat_file_are_the_names_of_its_categories(tmp_path: Path) -> None:
    """Codes of a categorical count from 1 in the order of its categories, which need not be that of the alphabet."""
    x = np.zeros((8, 8, 3, 4))
    labels = objects.categorical(["cat", "ant", "bee"], [2, 3, 1, 2])
    mat.write(tmp_path / "data.mat", {"X": x, "Y": labels})
    (_, targets), _ = mat_data.load(tmp_path / "data.mat", IMAGES)
    assert targets.tolist() == ["ant", "bee", "cat", "ant"]
    mat.write(tmp_path / "data.mat", {"X": x, "Y": objects.categorical(["cat", "ant"], [2, 0, 1, 2])})
    (_, targets), _ = mat_data.load(tmp_path / "data.mat", IMAGES)
    assert targets.tolist() == ["ant", "", "cat", "ant"]


def test_ValidationData_in_a_mat_file_is_a_pair(tmp_path: Path) -> None:
    """A cell of inputs and a categorical, as trainingOptions saves it; what is no data is refused."""
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 3, 3), dtype=np.uint8)
    for held, expected in (
        (objects.categorical(["bee", "ant"], [2, 1, 2]), ["ant", "bee", "ant"]),
        (objects.cell(["ant", "bee", "ant"], 3, 1), ["ant", "bee", "ant"]),
    ):
        data = objects.cell([x, held], 1, 2)
        mat.write(tmp_path / "options.mat", {"options": objects.training_options("sgdm", ValidationData=data)})
        saved = dict(mat_data.variables(tmp_path / "options.mat"))["options"]
        options = saved_training_options(saved.class_name, saved.properties)
        inputs, targets = mat_data.pair(options.ValidationData, IMAGES)
        np.testing.assert_array_equal(inputs, x.transpose(3, 2, 0, 1))
        assert targets.tolist() == expected
        found = sources((x.transpose(3, 2, 0, 1), ["ant", "bee", "cat"]), None, IMAGES, options, "NCHW").validation
        assert found is not None and len(found) == 3
    with pytest.raises(UsageError, match="ValidationData of the saved options cannot be used"):
        mat_data.pair(mat_data.Cell([x, {}], (1, 2)), IMAGES)


def test_classes_of_every_step_in_a_mat_file_are_names_too(tmp_path: Path) -> None:
    """categorical([10 9]) has the categories 9 and 10, in the order of the numbers' texts."""
    expected = Expected.of(nets.load(networks.lstm_classifier()), True)
    steps = [np.array([[10.0, 9.0, 10.0, 9.0, 9.0][: x.shape[1]]]) for x in SEQUENCES]
    savemat(tmp_path / "data.mat", {"X": cells(SEQUENCES), "Y": cells(steps)})
    (_, targets), _ = mat_data.load(tmp_path / "data.mat", replace(expected, classes=None))
    assert [each.ravel().tolist() for each in targets] == [["10", "9", "10", "9", "9"][: x.shape[1]] for x in SEQUENCES]


@pytest.mark.parametrize(
    "held",
    [
        {"X": np.zeros((8, 8, 3, 4))},
        {"X": np.zeros((8, 8, 3, 4)), "Y": np.zeros((4, 1)), "Z": np.zeros((4, 1))},
        {"X": np.zeros((9, 8, 3, 4)), "Y": np.zeros((4, 1))},
        {"text": "none"},
    ],
)
def test_a_mat_file_that_does_not_tell_what_is_what_is_asked_about(tmp_path: Path, held: dict[str, Any]) -> None:
    savemat(tmp_path / "data.mat", held)
    with pytest.raises(UsageError, match="it is not clear which variables") as caught:
        take(tmp_path / "data.mat")
    assert all(name in caught.value.cause for name in held if name != "text")


def untrained_rate(**more: Any) -> Any:
    return {"InitialLearnRate": 1e-30, "MaxEpochs": 1, "Verbose": False, "ResetInputNormalization": False, **more}


@needs_real
def test_matlabs_own_images_and_responses_give_the_error_of_its_network() -> None:
    """Oracle: MATLAB's network on its own training set has RMSE 0.0073; 0.0189 with height and width swapped."""
    network, data = bridge.load(MAT / "regression_cnn_2026.mat"), MAT / "regression_cnn_dataset.mat"
    info = train(network, data, training_options("sgdm", **untrained_rate(MiniBatchSize=5000)), validation=data)
    assert info.FinalValidationRMSE == pytest.approx(0.0073, abs=5e-5)


@needs_real
def test_matlabs_own_sequences_and_labels_give_its_predictions() -> None:
    """Oracle: MATLAB predicted these 176 labels with this network from these sequences."""
    from bridge.data import mat_data

    held = {}
    for name in ("features", "predictions"):
        held |= dict(mat_data.variables(MAT / f"fault_lstm_{name}.mat"))
    data = mat_data.pair(
        mat_data.Cell([held["validationFeatures"], held["validationResults"]], (1, 2)),
        Expected.of(bridge.load(MAT / "fault_lstm_R2020a.mat"), True),
    )
    info = train(
        bridge.load(MAT / "fault_lstm_R2020a.mat"),
        data,
        training_options("adam", **untrained_rate(MiniBatchSize=1)),
        validation=data,
    )
    assert info.FinalValidationAccuracy == 100


@needs_real
def test_ValidationData_of_a_saved_options_object_is_used() -> None:
    """Oracle: RMSE 0.0159 of MATLAB's network on the data in the object; one sequence a mini-batch, so that none is padded."""
    file = MAT / "lstm_projected_with_options_R2022b.mat"
    saved = dict(mat_data.variables(file))["options"]
    options = saved_training_options(saved.class_name, saved.properties).replace(
        **untrained_rate(MiniBatchSize=1, Plots="none")
    )
    inputs, targets = options.ValidationData
    network = bridge.load(file)
    info = train(network, ([*inputs][:2], [*targets][:2]), options, loss="RegressionOutputLayer")
    assert info.FinalValidationRMSE == pytest.approx(0.0159, abs=5e-5)


# Datasets


def test_datasets_and_loaders_give_observations_by_number() -> None:
    x, y = torch.rand(6, 3, 8, 8) * 255, torch.arange(6) % 3
    loader = DataLoader(
        TensorDataset(x, y),
        batch_size=4,
        shuffle=True,
        num_workers=0,
        collate_fn=lambda items: (torch.stack([a for a, _ in items]) + 1, torch.stack([b for _, b in items])),
    )
    for data, more in ((TensorDataset(x, y), 0), (loader, 1)):
        found, labels = everything(take(data).train)
        assert torch.equal(found, x + more) and torch.equal(labels, y)


def test_datasets_that_cannot_be_used() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield None

    with pytest.raises(UsageError, match="cannot be indexed"):
        take(Stream())
    source = take(TensorDataset(torch.zeros(3, 3, 8, 8))).train
    with pytest.raises(UsageError, match="it should be \\(input, target\\)|is collated to"):
        everything(source)


def test_a_module_alone_takes_tensors_as_they_are() -> None:
    x, y = torch.rand(5, 4), torch.rand(5, 2)
    found, targets = everything(take((x, y), Expected(by_class=False)).train)
    assert torch.equal(found, x) and torch.equal(targets, y)
    labels = torch.tensor([[True], [False], [True], [True], [False]])
    assert torch.equal(everything(take((x, labels), Expected(by_class=None)).train)[1], labels.long())
    with pytest.raises(UsageError, match="cannot be read for a module alone"):
        take("folder", Expected())


# Orders


def test_orders_of_epochs() -> None:
    assert [Order(5, "never", 0).epoch(e).tolist() for e in (1, 2)] == [[0, 1, 2, 3, 4]] * 2
    once, every = Order(50, "once", 0), Order(50, "every-epoch", 0)
    assert np.array_equal(once.epoch(1), once.epoch(9)) and not once.varies
    assert not np.array_equal(every.epoch(1), every.epoch(2)) and every.varies
    assert sorted(every.epoch(2)) == list(range(50)) and not np.array_equal(once.epoch(1), np.arange(50))
    rows = Order(3, "once", 0, [[2, 1, 0], [0, 2, 1]])
    assert rows.epoch(2).tolist() == [0, 2, 1] and rows.varies
    with pytest.raises(UsageError, match="epoch 3 has none"):
        rows.epoch(3)


@pytest.mark.parametrize(
    ("given", "hint"),
    [([1, 2, 3], "subtract 1"), ([0, 1], ""), ([0, 1, 1], ""), ([0.0, 1.0, 2.0], ""), ([[0, 1, 2], [1]], "")],
)
def test_orders_that_are_none(given: Any, hint: str) -> None:
    with pytest.raises(UsageError, match="is no order of 3 observations|differ in length") as caught:
        Order(3, "once", 0, given)
    assert hint in caught.value.hint


def test_partial_mini_batches_are_left_out_in_training_only() -> None:
    assert [each.tolist() for each in mini_batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5]]
    assert [len(each) for each in all_batches(np.arange(7), 3)] == [3, 3, 1]
    assert [len(each) for each in mini_batches(np.arange(2), 3)] == [2] and [
        len(each) for each in mini_batches(np.arange(6), 3)
    ] == [3, 3]
