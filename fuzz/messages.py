"""Changes of the fields of an ONNX model, whatever they mean; what comes out is sound protobuf."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import onnx

from fuzz.changes import REALS, changed_bytes, changed_integer, changed_text

MESSAGE = 11  # the protobuf type of a field that is a message
Message = Any


def change(data: bytes, random: Random) -> bytes:
    """Change one to three fields of a model."""
    model = onnx.load_model_from_string(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        messages = list(_messages(model))
        _change_field(random.choice(messages), messages, random)
    made: bytes = model.SerializeToString()
    return made


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type == MESSAGE:
            for each in value if field.is_repeated else (value,):
                yield from _messages(each)


def _change_field(message: Message, messages: list[Message], random: Random) -> None:
    held = message.ListFields()
    if not held or random.random() < 0.1:
        field = random.choice(message.DESCRIPTOR.fields)  # one that may not be set yet
        if field.type == MESSAGE and not field.is_repeated:
            getattr(message, field.name).SetInParent()
        elif not field.is_repeated:
            _set(message, field, random)
        return
    field, value = random.choice(held)
    if random.random() < 0.1:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_list(message, field, value, messages, random)
    elif field.type == MESSAGE:
        _overwrite(value, messages, random)
    else:
        _set(message, field, random)


def _set(message: Message, field: Any, random: Random) -> None:
    value = _changed(getattr(message, field.name), random)
    try:
        setattr(message, field.name, value)
    except (TypeError, ValueError, OverflowError):
        message.ClearField(field.name)  # of a value that the field cannot hold


def _changed(value: Any, random: Random) -> Any:
    if isinstance(value, str):
        return changed_text(value, random)
    if isinstance(value, bytes):
        return changed_bytes(value, random) if random.random() < 0.7 else changed_text("", random).encode()
    if isinstance(value, float):
        return random.choice(REALS)
    return random.choice((changed_integer(value, random), random.randrange(40)))


def _change_list(message: Message, field: Any, items: Any, messages: list[Message], random: Random) -> None:
    at, what = random.randrange(len(items)), random.randrange(5)
    if what == 0:
        del items[at]
    elif what == 1 and field.type == MESSAGE:
        items.add().CopyFrom(items[at])
    elif what == 1:
        items.append(items[at])
    elif what == 2:
        other = random.randrange(len(items))
        moved = list(items)
        moved[at], moved[other] = moved[other], moved[at]
        message.ClearField(field.name)
        getattr(message, field.name).extend(moved)
    elif field.type == MESSAGE:
        _overwrite(items[at], messages, random)
    else:
        try:
            items[at] = _changed(items[at], random)
        except (TypeError, ValueError, OverflowError):
            del items[at]


def _overwrite(message: Message, messages: list[Message], random: Random) -> None:
    """Put another message of its kind in its place."""
    alike = [each for each in messages if type(each) is type(message) and each.ByteSize() < 4096]
    if alike:
        copied = type(message)()
        copied.CopyFrom(random.choice(alike))
        message.CopyFrom(copied)
