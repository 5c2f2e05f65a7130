"""`python -m ncsn_lib grade FOLDER --sheet SHEET.toml`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ncsn_lib.cli.command import Command, UserError
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.extras import need
from ncsn_lib.provenance import provenance
from ncsn_lib.words import counted, some


@dataclass(frozen=True)
class GradeOptions:
    """Options of `grade`."""

    sheet: Path | None = None
    """The sheet's file, NAME.toml: which exercises, with how many points."""
    seed: str = ""
    """Words that only you know, from which the cases are made. By default those that `check` shows the class."""
    out: Path = Path("marks")
    """The folder for marks.csv, marks.json, a page for each student, and Gradescope's results.json."""
    format: Literal["marks", "otter"] = "marks"
    """marks: run and mark the notebooks; otter: write tests for otter-grader in place of that."""
    seconds: float = 60.0
    """How long one submission may take, in seconds."""
    unfenced: bool = False
    """Run the submissions although nothing here keeps them from your files."""
    workers: int = 0
    """How many submissions run at once; 0 takes one for each core."""

    def check(self) -> None:
        """Raise `UserError` for values that cannot be meant."""
        if self.sheet is None:
            raise UserError("which sheet? --sheet NAME.toml, which `make sheet` writes beside the notebook")
        if not 0 < self.seconds <= 86_400:
            raise UserError(f"--seconds must be above 0 and at most 86400, got {self.seconds:g}")
        if self.workers < 0:
            raise UserError(f"--workers must be at least 0, got {self.workers}")


def run(command: Command) -> int:
    """Mark a folder of notebooks."""
    folder = command.take_path("folder")
    options, _ = command.parse("marks a class's notebooks by a sheet of exercises", GradeOptions(), {})
    options.check()
    for package in ("nbformat", "IPython"):
        need(package, "grade", "grade")
    from ncsn_lib.exercises.grading import grade, secret_seed, submissions, write_marks
    from ncsn_lib.exercises.sandbox import strictest_fence
    from ncsn_lib.exercises.sheets import read_sheet, write_otter

    sheet = read_sheet(options.sheet)
    if options.format == "otter":
        paths = write_otter(sheet, options.out)
        say(f"{counted(len(paths), 'test')} for otter-grader in {options.out}")
        return 0
    files = submissions(folder)
    fence = strictest_fence()
    if not (fence.keeps_files or options.unfenced):
        raise UserError(
            "nothing here keeps a submission from your files: install bubblewrap (Linux), or run this in a container; "
            "--unfenced runs them nevertheless"
        )
    say(f"{counted(len(files), 'submission')} run behind {fence.words}")
    seed = secret_seed(options.seed) if options.seed else 0
    with Progress("grade", len(files), "submissions") as progress:
        marks = grade(
            files,
            sheet,
            seed,
            fence,
            num_workers=options.workers or os.cpu_count() or 1,
            seconds=options.seconds,
            callback=lambda mark: progress.update(),
        )
    record = {"fence": fence.words, **provenance(_without_seed(command), torch.device("cpu"))}
    write_marks(marks, sheet, options.out, record)
    stopped = [mark.name for mark in marks if not mark.verdicts]
    looked_at = [mark.name for mark in marks if mark.look]
    say(f"{counted(len(marks), 'mark')} in {options.out / 'marks.csv'}, a page for each in {options.out / 'students'}")
    if stopped:
        say(f"nothing to mark in {some(stopped)}: marks.csv says why")
    if looked_at:
        say(f"look at {some(looked_at)}: marks.csv says at what")
    return 0


def _without_seed(command: Command) -> str:
    """The command as it can be typed again, without the words that the class must not see."""
    words = list(command.words)
    for position, word in enumerate(words):
        if word == "--seed" and position + 1 < len(words):
            words[position + 1] = "SECRET"
        elif word.startswith("--seed="):
            words[position] = "--seed=SECRET"
    return Command(command.program, words).line
