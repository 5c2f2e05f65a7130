"""Settings as plain values and back, each part with its type, so that a reader's own is found again."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Record:
    """A frozen dataclass that a file can hold: its fields are numbers, words, None, tuples of them, or other records.

    A class is known by its name as soon as it is defined, so that what a reader's own parts made is loaded wherever
    they are imported. No code in a file is run.

    Raises:
        TypeError: on definition, a class of the same name in another module.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # every subclass is a dataclass, so that type checkers know of it
    _known: ClassVar[dict[str, type["Record"]]] = {}

    def __init_subclass__(cls, **options: Any):
        """Make the class known."""
        super().__init_subclass__(**options)
        other = Record._known.setdefault(cls.__name__, cls)
        if other.__module__ != cls.__module__:
            raise TypeError(f"there is a {cls.__name__} in {other.__module__} already; give yours another name")
        Record._known[cls.__name__] = cls  # a notebook's cell may define it again

    def to_dict(self) -> dict[str, Any]:
        """The type and the fields as plain values, tuples as lists, as JSON gives them back."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"type": type(self).__name__, **fields}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The object whose `to_dict` this is.

        Raises:
            ValueError: a type that nobody defined, another one than this class, or other fields than it has.
        """
        found = _rebuild(record)
        if not isinstance(found, cls):
            raise ValueError(f"a {cls.__name__} was expected, got {type(found).__name__}")
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _rebuild(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_rebuild(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    fields = dict(value)
    name = fields.pop("type", "a record without a type")
    if name not in Record._known:
        raise ValueError(f"{name!r} is no type of settings that is known here; import the module that defines it first")
    known = {f.name for f in dataclasses.fields(Record._known[name])}
    if set(fields) != known:
        raise ValueError(f"{name} has the fields {', '.join(sorted(known))}, got {', '.join(sorted(fields))}")
    return Record._known[name](**{field: _rebuild(item) for field, item in fields.items()})


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> list[str]:
    """In words, the fields in which two records' plain values differ."""
    words = []
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            words += differences(one, other, f"{where}{name}.")
        elif one != other:
            words.append(f"{where}{name} is {one!r} there and {other!r} here")
    return words
