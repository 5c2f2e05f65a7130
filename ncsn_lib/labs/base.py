"""What the labs share: their front ends, the ladder that they walk down, numbers and arrays as traits."""

import base64
import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets

from ncsn_lib.schedules import check_sigmas, geometric_sigmas
from ncsn_lib.words import reason_of

STATIC = Path(__file__).parent / "static"
IMPORT = re.compile(r'from "\./(\w+\.js)"')
SCHEDULES: dict[str, Callable[[float, float, int], torch.Tensor]]
SCHEDULES = {"geometric": geometric_sigmas, "linear": torch.linspace}


def standalone(name: str) -> str:
    """A front end as one text, since a widget's module has no place that `import "./other.js"` could start from.

    Args:
        name: a file in `static/`.

    Returns:
        Its text, each of its imports replaced by the imported module itself, as a `data:` URL.
    """

    def inline(match: re.Match[str]) -> str:
        encoded = base64.b64encode(standalone(match[1]).encode()).decode()
        return f'from "data:text/javascript;base64,{encoded}"'

    return IMPORT.sub(inline, (STATIC / name).read_text(encoding="utf-8"))


def as_plain(value: Any) -> Any:
    """Tensors, arrays and tuples as lists, and those of no dimension as numbers; anything else as it is."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.tolist()
    return [as_plain(part) for part in value] if isinstance(value, list | tuple) else value


class Plain:
    """What the traits of numbers share: they take tensors and arrays, and hold plain numbers and lists."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Accept what the trait does, as tensors and arrays, too."""
        return super().validate(obj, as_plain(value))  # type: ignore[misc]  # the trait's, which stands beside it


class Number(Plain, traitlets.CFloat[float, Any]):
    """A trait: a number."""


class Count(Plain, traitlets.CInt[int, Any]):
    """A trait: an integer, which no fraction is rounded to."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Accept integers of any type."""
        number = super().validate(obj, value)
        if number != as_plain(value):
            self.error(obj, value)
        return number


class Numbers(Plain, traitlets.List[Any]):
    """A trait: a list of numbers, or of lists of them."""


class Array(traitlets.Instance):
    """A trait: a batch of points or images (B, *shape) as a tensor, or None; it travels as bytes."""

    def __init__(self, shape: tuple[int, ...] | None, dtype: torch.dtype, **metadata: Any):
        """Take arrays whose examples have that shape, or the widget's `image_shape` where it is None."""
        self.example_shape, self.dtype = shape, dtype
        super().__init__(torch.Tensor, allow_none=True)
        self.tag(sync=True, to_json=self._to_json, from_json=self._from_json, **metadata)

    def _to_json(self, value: torch.Tensor | None, widget: Any) -> dict[str, Any] | None:
        if value is None:
            return None
        array = value.detach().to(self.dtype).cpu().contiguous().numpy()
        return {"shape": list(array.shape), "data": array.data.cast("B")}

    def _from_json(self, sent: dict[str, Any] | None, widget: Any) -> torch.Tensor | None:
        return None if sent is None else tensor_of(sent["data"], self.dtype).view(sent["shape"])

    def validate(self, obj: Any, value: Any) -> torch.Tensor | None:
        """Accept None or (B, *shape) numbers as a tensor, an array or lists, also infinite ones and NaN."""
        if value is None:
            return None
        shape = tuple(obj.image_shape) if self.example_shape is None else self.example_shape
        wanted = f"{self.name} must be (B, {', '.join(map(str, shape))})"
        if not isinstance(value, torch.Tensor):
            try:
                value = torch.tensor(as_plain(value), dtype=self.dtype)
            except (TypeError, ValueError, RuntimeError) as error:
                given = f"{type(value).__name__} that is none ({reason_of(error)})"
                raise traitlets.TraitError(
                    f"{wanted}, a tensor, an array or a list of numbers, got a {given}"
                ) from None
        if value.ndim != 1 + len(shape) or tuple(value.shape[1:]) != shape or len(value) == 0:
            raise traitlets.TraitError(f"{wanted}, got {tuple(value.shape)}")
        return value.to(self.dtype)


def tensor_of(data: Any, dtype: torch.dtype) -> torch.Tensor:
    """A flat tensor of bytes that came from a front end."""
    return torch.frombuffer(bytearray(data), dtype=dtype)


class SaidLab(anywidget.AnyWidget):
    """A lab whose output says in a sentence what it is, for where no widget is shown."""

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        subject = (inspect.getdoc(type(self)) or "").partition("\n")[0]
        told = f"{type(self).__name__}: {subject} It needs a running kernel: run this cell to turn its knobs."
        return data | {"text/plain": told}, metadata


class Lab(SaidLab):
    """A lab's widget: a ladder of noise levels and the walk down it, as traits that follow the knobs and turn them.

    A ladder that is set in `sigmas` is used as it is, and `schedule` says "given", until a knob is turned.
    """

    sigma_max = Number(1.0).tag(sync=True)
    """The first level sigma_1, above `sigma_min`."""
    sigma_min = Number(0.01).tag(sync=True)
    """The last level sigma_L, above 0."""
    num_levels = Count(10, min=2).tag(sync=True)
    """The number of levels L."""
    schedule = traitlets.Enum([*SCHEDULES, "given"], "geometric").tag(sync=True)
    """"geometric", "linear", or "given"."""
    sigmas = Numbers(Number()).tag(sync=True)
    """The ladder itself, (L,) decreasing levels."""
    eps = Number(2e-5).tag(sync=True)
    """The step size at the last level, the paper's epsilon, in squared units of the data; above 0."""
    steps_per_level = Count(100, min=1).tag(sync=True)
    """The number of steps T at each level."""

    def __init__(self, **values: Any):
        super().__init__(**({"schedule": "given"} if "sigmas" in values else {}) | values)

    @traitlets.default("sigmas")
    def _default_sigmas(self) -> list[float]:
        return self._scheduled()

    def _scheduled(self) -> list[float]:
        """The ladder that the knobs ask for."""
        make = SCHEDULES["geometric" if self.schedule == "given" else self.schedule]
        return make(self.sigma_max, self.sigma_min, self.num_levels).tolist()

    @traitlets.validate("sigma_max", "sigma_min", "eps", "step_size")
    def _check_positive(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not 0 < value < math.inf:
            raise traitlets.TraitError(f"{name} must be finite and above 0, got {value}")
        ends = {"sigma_max": self.sigma_max, "sigma_min": self.sigma_min, name: value}
        if ends["sigma_max"] <= ends["sigma_min"]:
            raise traitlets.TraitError(
                f"sigma_max must be above sigma_min, got {ends['sigma_max']} and {ends['sigma_min']}; "
                "to change both, set them within `with lab.hold_trait_notifications():`"
            )
        return value

    @traitlets.validate("sigmas")
    def _check_ladder(self, proposal: Any) -> list[float]:
        try:
            check_sigmas(torch.tensor(proposal["value"], dtype=torch.float64))
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from error
        return proposal["value"]

    @traitlets.observe("sigma_max", "sigma_min", "num_levels", "schedule")
    def _follow_the_knobs(self, change: Any) -> None:
        if self.schedule != "given":
            self.sigmas = self._scheduled()

    @traitlets.observe("sigmas")
    def _follow_the_ladder(self, change: Any) -> None:
        if self.sigmas != self._scheduled():
            self.schedule = "given"
