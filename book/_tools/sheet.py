"""Write a sheet of graded exercises: `make sheet WEEK=2`, or `make sheet IDS="dsm-loss tweedie"`."""

import argparse
import sys

import address
import first_cell
import teach
from chapters import BUILD

from ncsn_lib.exercises.sheets import make_sheet, write_sheet

SHEETS = BUILD / "sheets"


def main(argv=None):
    """Write the notebook to hand out and the file to mark by; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--week", type=int, help="of the course: book/course.toml has its exercises")
    parser.add_argument("--ids", nargs="+", help="exercises by their names, in place of a week's")
    options = parser.parse_args(argv)
    course = teach.course()["week"]
    if (options.week is None) == (options.ids is None):
        parser.error(f'give one of the two: WEEK=1 to {len(course)}, or IDS="dsm-loss tweedie"')
    if options.week is not None and not 1 <= options.week <= len(course):
        parser.error(f"the course has the weeks 1 to {len(course)}, got {options.week}")
    week = course[options.week - 1] if options.week else {"title": "Exercises", "exercises": options.ids}
    name = f"week{options.week}" if options.week else "sheet"
    try:
        sheet = make_sheet(week["title"], week["exercises"])
    except ValueError as error:
        parser.error(str(error))
    handed_out, marked_by = write_sheet(sheet, SHEETS, name, first_cell.first_cell([], address.address()))
    print(f"{handed_out} to hand out, {marked_by} to mark by:")
    print(f"python -m ncsn_lib grade FOLDER --sheet {marked_by} --seed WORDS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
