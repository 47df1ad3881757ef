"""torch.export with a free batch, of what every builder makes, and every module that bridge adds.

Oracle: the module itself, run as it is; tests/modules/test_matrix.py holds that against MATLAB's formulas.
"""

from __future__ import annotations

import pytest
import torch

from tests.modules.cases import Case, one_of_each_builder, outputs
from tests.modules.conftest import Read


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")  # torch's own LSTM and GRU under torch.export
@pytest.mark.parametrize("chosen", one_of_each_builder().values(), ids=one_of_each_builder())
def test_exports_with_a_free_batch(chosen: Case, read: Read) -> None:
    network = read(chosen.net)
    model, inputs = network.to_torch(), chosen.inputs(network.inputs)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs)).module()
    larger = tuple(torch.cat([x, x.flip(0), x[:1]]) for x in inputs)
    with torch.no_grad():
        for ours, theirs in zip(outputs(exported, larger), outputs(model, larger), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
