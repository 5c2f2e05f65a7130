"""Packages that a part of the library needs and the rest does not."""

import importlib
from typing import Any


class MissingPackageError(ImportError):
    """An optional package is not installed; the message is one line that says how to install it."""


def need(package: str, extra: str, purpose: str) -> Any:
    """Import an optional package.

    Args:
        package: its module, "torchvision.datasets" say.
        extra: the extra of `ncsn_lib` that installs it, "data" say.
        purpose: what needs it, as the message begins.

    Returns:
        The module.

    Raises:
        MissingPackageError: the package is not installed, or lacks something itself.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.split(".")[0]
        raise MissingPackageError(
            f'{purpose} needs {name} ({error}); install it with: pip install "ncsn_lib[{extra}]"'
        ) from error
