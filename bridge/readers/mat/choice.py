"""Which of the networks in a .mat file is meant."""

from __future__ import annotations

from bridge.arrays.matlab import Object, equal
from bridge.errors import UnreadableError, UsageError, nearest
from bridge.readers.mat.container import of_file
from bridge.readers.mat.contents import Contents, Held, Search, at, network_within
from bridge.readers.mat.layers import required

MOST_LISTED = 12  # networks that a message names


class NoNetworkError(UnreadableError):
    """A .mat file without a network; `held` is what it holds instead."""

    def __init__(self, held: Contents) -> None:
        super().__init__(
            f"{held.path} holds no network",
            f"it holds {held.listed}",
            "save the network itself: save('net.mat', 'net')",
        )
        self.held = held

    def __reduce__(self) -> tuple[type[NoNetworkError], tuple[Contents]]:  # type: ignore[override]
        return type(self), (self.held,)


class SeveralNetworksError(UsageError):
    """A .mat file with several networks of which none is meant more than the others; `held` is what it holds."""

    def __init__(self, held: Contents, inside: str = "") -> None:
        addresses = [each for each in held.networks if each.startswith(inside)]
        shown = ", ".join(addresses[:MOST_LISTED])
        more = f" and {len(addresses) - MOST_LISTED} more" if len(addresses) > MOST_LISTED else ""
        where = f"{inside} in {held.path}" if inside else str(held.path)
        super().__init__(
            f"{where} holds {len(addresses)} networks", f"they are {shown}{more}", "choose one with --variable ADDRESS"
        )
        self.held, self.inside = held, inside

    def __reduce__(self) -> tuple[type[SeveralNetworksError], tuple[Contents, str]]:  # type: ignore[override]
        return type(self), (self.held, self.inside)


def choose(held: Contents, address: str | None) -> Held:
    """Return the network to read: the one at an address, or the one that is meant.

    Without an address that is the only detector, or else the only one, or else the only trained network, or else the
    only layers that have weights. Equal copies are one.

    Raises:
        UsageError: nothing lies at the address, or no network.
        SeveralNetworksError: more than one could be meant.
        NoNetworkError: there is none.
        UnreadableError: there is none, and a part of the file cannot be decoded.
    """
    if address is not None:
        return _addressed(held, address)
    if not held.networks:
        for error in held.spoiled.values():
            raise of_file(error, held.path)
        raise NoNetworkError(held)
    meant = _meant(list(held.networks.values()))
    if meant is None:
        raise SeveralNetworksError(held)
    return meant


def _meant(networks: list[Held]) -> Held | None:
    trained = [each for each in networks if each.is_trained]
    weighted = [each for each in networks if each.has_weights]
    detectors = [each for each in trained if isinstance(each.value, Object) and network_within(each.value) is not None]
    groups = (detectors, networks, trained, weighted if not trained else [])
    return next((each[0] for each in groups if each and all(_same(each[0], other) for other in each[1:])), None)


def _same(one: Held, other: Held) -> bool:
    return one.kind == other.kind and equal(one.value, other.value)


def _addressed(held: Contents, address: str) -> Held:
    if address in held.networks:
        return held.networks[address]
    value = required(at(held, address))
    inside = Search()
    inside.visit(value, address)
    if value is None or not inside.networks:
        known = [*held.networks, *held.options, *held.logs, *held.others]
        raise UsageError(f"{held.path} holds no network named '{address}'", nearest(address, known))
    meant = _meant(list(inside.networks.values()))
    if meant is None:
        raise SeveralNetworksError(held, address)
    return meant
