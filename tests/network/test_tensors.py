"""Statistics of input layers in every form that files hold. Oracle: MATLAB's own broadcasting, H x W x C, in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Net

FORMS = {
    "one for each pixel and channel": ((4, 3, 2), (4, 3, 2)),
    "one for each channel": ((4, 3, 2), (1, 1, 2)),
    "one for all": ((4, 3, 2), (1, 1)),
    "one for each pixel of a grey image": ((4, 3, 1), (4, 3)),
    "one for a grey image": ((4, 3, 1), (1, 1)),
    "a square image with as many channels": ((3, 3, 3), (3, 3, 3)),
    "channels of such an image": ((3, 3, 3), (1, 1, 3)),
    "an image of one pixel": ((1, 1, 3), (1, 1, 3)),
    "a row of pixels, as many as channels": ((1, 2, 2), (1, 2, 2)),
    "channels of such a row": ((1, 2, 2), (1, 1, 2)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mean_is_subtracted_where_it_belongs(form: str, tmp_path: Path) -> None:
    size, shape = FORMS[form]
    rng = np.random.default_rng(0)
    mean, image = rng.uniform(50, 200, shape).astype(np.float32), rng.uniform(0, 255, size).astype(np.float32)
    layers = (L.imageInputLayer(size, "in", "zerocenter", mean), L.regressionLayer("out"))
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", layers)})
    found = bridge.load(tmp_path / "net.mat").to_torch()(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()))
    expected = image - mean.reshape((*shape, *(1,) * (3 - len(shape))))
    np.testing.assert_array_equal(found.numpy().reshape(size[2], *size[:2]).transpose(1, 2, 0), expected)
