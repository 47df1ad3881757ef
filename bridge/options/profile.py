"""Profiles: the switches of training that `bridge calibrate` has settled for a release of MATLAB. Nothing here imports
torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bridge.errors import UsageError
from bridge.options.options import Semantics, TrainingOptions

SCHEMA = "bridge.profile/1"
HINT = "bridge calibrate probe.mat -o profile.toml"


@dataclass(frozen=True)
class TrainingProfile:
    """What a release of MATLAB does where the documentation of its trainers leaves a choice.

    Attributes:
        name: of the release, "R2024b".
        switches: trainer -> switch of `bridge.options.options.Semantics` -> value; what is not settled is not there.
    """

    name: str
    switches: Mapping[str, Mapping[str, Any]]

    @staticmethod
    def load(path: str | Path) -> TrainingProfile:
        """Read a profile that `bridge calibrate` wrote.

        Raises:
            UsageError: the file is no profile, or holds a trainer, switch or value that is not known.
        """
        try:
            held = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"cannot read the profile {path}", str(error), HINT) from error
        if held.get("schema") != SCHEMA:
            raise UsageError(f"{path} is no profile of training", f"its schema is {held.get('schema')!r}", HINT)
        switches = {trainer: values for trainer, values in held.items() if isinstance(values, dict)}
        for trainer, values in switches.items():
            Semantics.of(trainer, values)
        return TrainingProfile(str(held.get("name", Path(path).stem)), switches)

    def of(self, trainer: str) -> dict[str, Any]:
        """Return the switches of a trainer, as `training_options(semantics=...)` takes them."""
        return dict(self.switches.get(trainer, {}))

    def apply(self, options: TrainingOptions) -> TrainingOptions:
        """Return options with the switches of this profile; those that were set otherwise by hand stay."""
        by_hand = options.semantics.overrides()
        semantics = Semantics.of(options.trainer, {**self.of(options.trainer), **by_hand})
        return replace(
            options,
            semantics=semantics,
            profile=self.name,
            settled=tuple(name for name in self.of(options.trainer) if name not in by_hand),
        )
