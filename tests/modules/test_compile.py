"""torch.compile of what every builder makes, and every module that bridge adds.

Oracle: the module itself, run as it is; tests/modules/test_matrix.py holds that against MATLAB's formulas.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.modules.cases import CASES, Case, one_of_each_builder, outputs
from tests.modules.conftest import Read

WITH_INDUCTOR = {
    case.name: case for case in {cls: case for case in reversed(CASES.values()) for cls in case.classes}.values()
}  # once a class


def check(case: Case, read: Read, backend: str) -> None:
    """In one graph, but for torch's own recurrent modules, which Dynamo leaves to eager."""
    network = read(case.net)
    model, inputs = network.to_torch(), case.inputs(network.inputs)
    torch._dynamo.reset()
    compiled: Any = torch.compile(
        model, backend=backend, fullgraph=not any(isinstance(part, torch.nn.RNNBase) for part in model.modules())
    )
    with torch.no_grad():
        for ours, theirs in zip(outputs(compiled, inputs), outputs(model, inputs), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chosen", one_of_each_builder().values(), ids=one_of_each_builder())
def test_compiles(chosen: Case, read: Read) -> None:
    check(chosen, read, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("chosen", WITH_INDUCTOR.values(), ids=WITH_INDUCTOR)
def test_compiles_with_inductor(chosen: Case, read: Read) -> None:
    check(chosen, read, "inductor")
