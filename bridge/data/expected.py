"""What a network expects of the data it is trained on. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import UsageError
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.network.contract import contracts
from bridge.tables.detectors import detector_rows
from bridge.tables.layers import table
from bridge.tables.losses import loss_of, loss_rows

SWITCHES = frozenset(table("solvers")["semantics"])


@dataclass(frozen=True)
class Expected:
    """What a network expects of its data.

    Attributes:
        inputs: the size of each input; () for a module without its Network.
        output: the size of what it predicts.
        classes: its class names.
        by_class: whether targets are classes; None: they tell it themselves, as names or whole numbers.
        every_class: whether each class must occur.
        greatest: the greatest value of the images that its input layer was trained on, where it tells.
    """

    inputs: tuple[Activation, ...] = ()
    output: Activation | None = None
    classes: tuple[str, ...] | None = None
    by_class: bool | None = True
    every_class: bool = False
    greatest: float | None = None

    @classmethod
    def of(cls, network: Network | None, by_class: bool | None) -> Expected:
        """Return what a network expects when it is trained on classes, on numbers, or on either."""
        if network is None:
            return cls(by_class=by_class)
        inputs = tuple(network.sizes[each][0] for each in network.inputs)
        images = len(inputs) == 1 and bool(inputs[0].spatial)
        greatest = next(contracts(network)).high if images else None
        return cls(inputs, network.size_of(network.outputs[0]), network.classes, by_class, True, greatest)

    @property
    def by_element(self) -> bool:
        """Whether each pixel or step has a target of its own."""
        at = self.output
        return at is None or at.over_time or (bool(at.spatial) and set(at.spatial) != {1})

    @property
    def image(self) -> Activation:
        """The size of the one image input.

        Raises:
            UsageError: the network has another input.
        """
        if (
            len(self.inputs) == 1
            and len(self.inputs[0].spatial) == 2
            and not self.inputs[0].over_time
            and None not in self.inputs[0].size
        ):
            return self.inputs[0]
        shown = ", ".join(map(str, self.inputs)) or "not known without the Network"
        raise UsageError(
            "images in files need a network with one image input of a known size",
            f"its inputs are {shown}",
            "pass a Dataset of (inputs..., target)",
        )

    def require_classes(self, what: str) -> None:
        """Raise UsageError where the network predicts numbers."""
        if self.by_class is False:
            raise UsageError(
                f"{what} have names as targets",
                "the network is trained to predict numbers",
                "end it with a softmax and a classification layer",
            )

    def require_range(self, greatest: float, what: str) -> None:
        """Raise UsageError where images of 0..1 meet a network trained on 0..255, or the other way round."""
        trained = self.greatest
        if trained is not None and ((0 < greatest <= 1 < 2 <= trained) or (trained <= 1 and greatest >= 2)):
            hint = (
                "MATLAB trained it on 0..255: do not divide by 255"
                if trained > 1
                else "divide by 255, as im2single does"
            )
            raise UsageError(
                f"{what} have values up to {greatest:g}",
                f"the statistics of the input layer come from values up to {trained:g}",
                hint,
            )

    def require_count(self, classes: tuple[str, ...], what: str) -> None:
        """Raise UsageError unless the network predicts as many classes as the data have."""
        count = self.output.channels if self.output is not None and self.by_class else None
        if count is not None and classes and len(classes) != count:
            shown = f"{', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}"
            raise UsageError(
                f"{what} have {len(classes)} classes, the network predicts {count}",
                f"they are {shown}",
                "give the network the classes of the data: net = net.with_classes([...])",
            )


def own_loss(network: Network, trainer: str) -> str:
    """Return the name of the loss that the end of a network means to a trainer, "" where it means none."""
    output = next((layer for layer in network.layers if layer.row.is_output), None)
    if output is not None:
        return loss_of(output.row, trainer)
    ends = [network.layers[name] for name in network.outputs[:1] if network.layers.has(name)]
    if any("softmax" in layer.row.traits for layer in ends):
        return next(row.name for row in loss_rows(trainer).values() if row.follows)
    return ""


def lacking(network: Network | None, trainer: str, loss: str = "") -> frozenset[str]:
    """Return what a training does not have, of what a switch in `mappings/solvers.toml` may need; of a module alone
    little is known.

    Args:
        network: that is trained.
        trainer: "trainNetwork" or "trainnet".
        loss: its name, where it is not the network's own.
    """
    row = loss_rows(trainer).get(loss or (own_loss(network, trainer) if network is not None else ""))
    of_loss = {} if row is None else {"crossentropy": row.divides in SWITCHES, "classes": row.targets == "classes"}
    own = {layer.row.detector for layer in network.layers} if network is not None else set()
    families = {row.family: row.name in own for row in detector_rows().values() if row.family}
    if network is None:
        return frozenset(name for name, present in {**of_loss, **families}.items() if not present)
    has = {
        **of_loss,
        "batch normalization": any("TrainedMean" in layer.row.state for layer in network.layers),
        **families,
        "elements": not any(families.values()) and Expected.of(network, True).by_element,
        "zscore": any(layer.properties.get("Normalization") == "zscore" for layer in network.layers),
    }
    return frozenset(name for name, present in has.items() if not present)
