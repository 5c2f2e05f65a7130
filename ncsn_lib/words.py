"""Words for messages: numbers with their nouns, long lists, names of files, what an error says."""

import re
from collections.abc import Iterable
from pathlib import Path

_UNPRINTABLE = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"  # controls, ends of lines, bytes that are no Unicode


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 image", "1,437 images"; `plural` where an s does not make it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def some(names: Iterable[object], limit: int = 5) -> str:
    """The first few of some names, and how many more there are."""
    words = [shown(str(name)) for name in names]
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if len(words) > limit else "")


def shown(name: str | Path) -> str:
    """A file's name as it can be printed: in one line, and whatever its bytes are."""
    return re.sub(_UNPRINTABLE, lambda found: found[0].encode("unicode_escape").decode(), str(name))


def in_one_line(error: BaseException) -> str:
    """What an error says, whole, in one line."""
    told = re.sub(r" <_io.* at 0x\w+>", "", str(error))  # a file without a name, as Pillow tells of it
    return shown(" ".join(told.split())) or type(error).__name__


def reason_of(error: BaseException) -> str:
    """What an error says, short enough to stand in another message."""
    return in_one_line(error)[:300]
