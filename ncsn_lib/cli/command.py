"""A command as it was called: its words, its options, the flags that they are given by, errors of one line."""

import contextlib
import dataclasses
import difflib
import io
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.cli.terminal import say, silence
from ncsn_lib.extras import need
from ncsn_lib.recipes import RECIPES
from ncsn_lib.runs import Run, load_run
from ncsn_lib.settings import Recipe


class UserError(Exception):
    """Something the user can put right; printed in one line, without a traceback."""


@dataclass(frozen=True)
class DeviceOptions:
    """Where a command computes."""

    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""

    def find_device(self) -> torch.device:
        """The device that is named; `UserError` if it cannot be used."""
        if self.device == "auto":
            return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
        try:
            torch.zeros(1, device=self.device).item()
            return torch.device(self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UserError(f"--device {self.device} cannot be used here: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class RunOptions(DeviceOptions):
    """Options of the commands that use a run's folder."""

    run_dir: Path | None = None
    """The run's folder, or a file NAME.safetensors that `export` wrote. By default runs/RECIPE."""

    def folder(self, recipe: Recipe) -> Path:
        """The folder of a recipe's run."""
        return self.run_dir or Path("runs") / recipe.name


class Command:
    """What was called, with which words.

    Args:
        program: what stands before the words, "python -m ncsn_lib sample".
        words: its arguments.
        short: flags in short for the long ones.
    """

    def __init__(self, program: str, words: Sequence[str], short: Mapping[str, str] | None = None):
        self.program, self.words, self.short = program, list(words), dict(short or {})
        self.title = self.program.split()[-1]
        self.flags: dict[str, str] = {}

    @property
    def line(self) -> str:
        """The command as it can be typed again."""
        return shlex.join([*self.program.split(), *self.words])

    @property
    def line_to_go_on(self) -> str:
        """The command that goes on with what this one began."""
        return shlex.join([*self.program.split(), *(word for word in self.words if word != "--fresh")])

    def take(self, kind: str, known: Mapping[str, Any]) -> Any:
        """What the first word names; usage, and the end, where it asks for help."""
        name = self._first(kind, f"[OPTIONS]; {kind.upper()} is one of {', '.join(known)}")
        self.title = f"{self.title} {name}"
        return choose(kind, name, known)

    def take_path(self, kind: str) -> Path:
        """The path that the first word names; usage, and the end, where it asks for help."""
        return _at_home(Path(self._first(kind, "[OPTIONS]")), kind.upper())

    def _first(self, kind: str, rest: str) -> str:
        usage = f"usage: {self.program} {kind.upper()} {rest}; {kind.upper()} --help explains the options"
        if self.words[:1] in (["-h"], ["--help"]):
            say(usage)
            raise SystemExit(0)
        if not self.words or self.words[0].startswith("-"):
            raise UserError(f"which {kind}? {usage}")
        return self.words[0]

    def take_recipe(self) -> Recipe:
        """The recipe that the first word names."""
        return self.take("recipe", RECIPES)

    def parse(
        self, summary: str, options: Any, settings: Mapping[str, Any], *, with_help: bool = True
    ) -> tuple[Any, dict[str, Any]]:
        """The options, and groups of settings, as the words give them, a flag for each field.

        Args:
            summary: one sentence for its help.
            options: the command's own options, a dataclass with its defaults.
            settings: groups of settings by name, dataclasses with their defaults; their flags carry the group's name.
            with_help: explain the options and end where the words ask for it.

        Returns:
            The options and the groups; paths begin where ~ says.
        """
        tyro = need("tyro", "cli", "the command line")
        if self.short:
            summary += "; " + ", ".join(f"{short} is short for {long}" for short, long in self.short.items())
        groups = [("run", tyro.conf.OmitArgPrefixes[type(options)]), *((name, type(v)) for name, v in settings.items())]
        arguments = dataclasses.make_dataclass("Arguments", groups)
        for name, group in {**settings, "": options}.items():
            prefix = f"--{name}." if name else "--"
            flags = {field.name: prefix + field.name.replace("_", "-") for field in dataclasses.fields(group)}
            self.flags |= {name: self._in_short(flag) for name, flag in flags.items()}
        words = [self._in_full(word) for word in self.words[1:] if with_help or word not in ("-h", "--help")]
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                prog = f"{self.program} {self.words[0]}"
                default = arguments(run=options, **settings)
                parsed = tyro.cli(arguments, default=default, args=words, prog=prog, description=summary)
        except SystemExit as error:
            if not error.code:  # the help that was asked for
                raise
            raise UserError(self._in_one_line(said.getvalue())) from error
        except BrokenPipeError:
            silence(sys.stdout)
            raise SystemExit(0) from None
        paths = {f.name: getattr(parsed.run, f.name) for f in dataclasses.fields(parsed.run)}
        paths = {name: _at_home(path, self.flags[name]) for name, path in paths.items() if isinstance(path, Path)}
        return dataclasses.replace(parsed.run, **paths), {name: getattr(parsed, name) for name in settings}

    def parse_with_run(self, recipe: Recipe, options: Any) -> tuple[Any, Run]:
        """The command's options, checked, and the recipe's run with the sampling settings of the words.

        The run's own settings are the defaults, whatever the recipe says today.
        """
        given, _ = self.parse(recipe.summary, options, {"sampling": recipe.sampler})
        given.check()
        trained = load_run(given.folder(recipe), given.find_device())
        sampling = {"sampling": trained.recipe.sampler}
        _, settings = self.parse(recipe.summary, options, sampling, with_help=False)
        return given, trained._replace(recipe=dataclasses.replace(trained.recipe, **settings))

    def with_flags(self, message: str) -> str:
        """A message that begins with an argument's name, or has one in backticks, with the option's name instead."""
        message = re.sub(r"`(\w+)`", lambda name: self.flags.get(name[1], name[0]), message)
        name = re.match(r"\w+(?=(\[\d+\])? must )", message)
        if name is None or name[0] not in self.flags:
            return message
        ending = name[0].replace("_", "-")
        given = [word.partition("=")[0] for word in self.words if word.startswith("--")]
        # Where two groups have an option of that name, the one that was given is meant.
        flag = next((word for word in given if word.lstrip("-").split(".")[-1] == ending), self.flags[name[0]])
        return flag + message[name.end() :]

    def _in_full(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        return self.short.get(flag, flag) + equals + value

    def _in_one_line(self, said: str) -> str:
        """What tyro says in a box, or under a title and a rule: the reason, and what may have been meant."""
        lines = "\n".join(line.strip("│ ") for line in said.splitlines() if line[:1] not in ("╭", "╰"))
        parts = [" ".join(part.split()) for part in re.split(r"^[─-]+$", lines, flags=re.MULTILINE)]
        reason, *others = (parts if said.startswith("╭") else parts[1:]) or [said]
        reason = reason.removeprefix("Error parsing ")
        reason = reason.replace(": invalid literal for int() with base 10:", " must be a whole number, got")
        reason = reason.replace(": could not convert string to float:", " must be a number, got")
        group, colon, rest = reason.partition(": ")
        if colon and self.with_flags(rest) != rest:  # a group of settings refused one of its values
            reason = re.sub(r"^\w+", lambda name: self._in_short(f"--{group}.{name[0].replace('_', '-')}"), rest)
        meant = [re.findall(r"--[\w.-]+", other)[0] for other in others if other.startswith("Perhaps you meant")]
        hint = f"; did you mean {meant[0]}?" if meant else ""
        return f"{reason}{hint}; {self.program} {self.words[0]} --help explains the options"

    def _in_short(self, flag: str) -> str:
        """The flag as it was given, or else its short form where it has one."""
        is_given = any(word.partition("=")[0] == flag for word in self.words)
        return flag if is_given else next((short for short, long in self.short.items() if long == flag), flag)


def _at_home(path: Path, flag: str) -> Path:
    """A path whose ~ is the user's home, as a shell leaves it behind an equals sign."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"{flag} {path}: there is no home folder here; write the path in full") from error


def choose(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """What `known` has of that name; `UserError` with the nearest name if it has none."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    raise UserError(f"there is no {kind} {name!r}; {hint}")


def check_suffix(out: Path, known: Sequence[str]) -> None:
    """Raise `UserError` unless the file's name ends in one of these."""
    if out.suffix not in known:
        words = [suffix or "nothing (a folder)" for suffix in known]
        raise UserError(f"--out must end in {', '.join(words[:-1])}{' or ' * (len(words) > 1)}{words[-1]}, got {out}")
