"""Where a training runs: what is chosen, what is told. A machine pretends to have GPUs; nothing is computed on them."""

from __future__ import annotations

import pytest
import torch

from bridge.errors import UsageError
from bridge.options.options import training_options
from bridge.training import device
from bridge.training.device import device_of, told
from tests.training import nets


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, of which the second is this process's own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")


@pytest.fixture
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("word", ["auto", "gpu", "multi-gpu", "parallel", "parallel-gpu", "cpu", "parallel-cpu"])
def test_where_a_module_goes_on_a_machine_with_gpus(word: str, gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    options = training_options("sgdm", ExecutionEnvironment=word)
    if word.endswith("cpu"):
        assert device_of(options) is None, "it stays where it is"
        return
    assert device_of(options) == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="process 3 of this machine has no GPU"):
        device_of(options)


@pytest.mark.parametrize(("name", "expected"), [("cpu", "cpu"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0")])
def test_a_device_that_is_named_is_taken(name: str, expected: str, gpus: None) -> None:
    assert device_of(training_options("sgdm", ExecutionEnvironment="gpu"), name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "'gpu' is no device"),
        ("", "'' is no device"),
        ("cuda:x", "'cuda:x' is no device"),
        ("cpu:0", "'cpu:0' is no device"),
        ("cuda:-1", "'cuda:-1' is no device"),
        ("meta", "'meta' is no device"),
        ("cuda", "there is no device cuda:0"),
        ("cuda:3", "there is no device cuda:3"),
    ],
)
def test_devices_that_are_not_there(name: str, message: str, no_gpus: None) -> None:
    with pytest.raises(UsageError, match=message):
        device_of(training_options("sgdm"), name)


def test_a_gpu_that_is_asked_for_and_not_there(no_gpus: None) -> None:
    with pytest.raises(UsageError, match="and there is no GPU"):
        device_of(training_options("sgdm", ExecutionEnvironment="gpu"))
    assert device_of(training_options("sgdm")) is None


@pytest.mark.parametrize(("threads", "text"), [(1, "training on CPU, 1 thread"), (8, "training on CPU, 8 threads")])
def test_the_cpu_is_told(threads: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert told(nets.cnn().to_torch()) == [text]


def test_a_gpu_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parameter:
        device = torch.device("cuda:0")

    class Module:
        def parameters(self) -> object:
            return iter([Parameter()])

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    (line,) = told(Module())  # type: ignore[arg-type]
    assert line == "training on cuda:0, NVIDIA A100; --device cpu (device='cpu' in Python) to change"


@pytest.mark.parametrize("cuda", [None, "12.4"])
def test_a_torch_for_the_cpu_beside_a_gpu_gets_a_hint(cuda: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    lines = told(nets.cnn().to_torch())
    assert len(lines) == (2 if cuda is None else 1) and ("NVIDIA GPU" in lines[-1]) is (cuda is None)


@pytest.mark.parametrize("found", [None, "/usr/bin/nvidia-smi"])
def test_the_driver_is_looked_for(found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.shutil, "which", lambda name: found)  # type: ignore[attr-defined]
    monkeypatch.setattr(device.Path, "exists", lambda self: False)  # type: ignore[attr-defined]
    monkeypatch.setattr(device.sys, "platform", "linux")  # type: ignore[attr-defined]
    assert device.has_nvidia_gpu() is (found is not None)
