"""Write the ladder lab's digits, ncsn_lib/labs/static/digits.js, from scikit-learn: python book/_tools/lab_digits.py.

The first image of each class of `load_digits`: 8x8 pixels in 17 steps, from the test set of the UCI data set
"Optical recognition of handwritten digits" (Alpaydin and Kaynak 1998, CC BY 4.0).
"""

import json

from chapters import ROOT, command_line, say, use_utf8

TARGET = ROOT / "ncsn_lib" / "labs" / "static" / "digits.js"
HEAD = """// Ten handwritten digits, 0 to 9: the first image of each class of load_digits, 8 x 8 pixels from 0 to 16.
// From scikit-learn, and the UCI data set "Optical recognition of handwritten digits" (Alpaydin and Kaynak 1998,
// CC BY 4.0).
// Written by book/_tools/lab_digits.py.

"""


def module_text():
    """The module's text: one line a digit."""
    from sklearn.datasets import load_digits

    data = load_digits()
    first = [data.images[data.target.tolist().index(digit)].ravel().astype(int).tolist() for digit in range(10)]
    lines = ",\n".join(f"  {json.dumps(pixels, separators=(',', ':'))}" for pixels in first)
    return f"{HEAD}export const DIGITS = [\n{lines},\n];\n"


def main():
    """Write the file."""
    use_utf8()
    command_line(__doc__).parse_args()
    TARGET.write_text(module_text(), encoding="utf-8")
    say(TARGET)


if __name__ == "__main__":
    main()
