"""Remove what was built, and the caches: python book/_tools/clean.py."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = [
    "_build",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    "book/.ipynb_checkpoints",
    "book/.jupyter_cache",
]


def main():
    """Remove each folder that exists, and say so."""
    for folder in (ROOT / name for name in BUILT):
        if folder.exists():
            print(f"Removing {folder.relative_to(ROOT)}")
            shutil.rmtree(folder)
    print("Clean. The environment stays in .venv; delete that folder to set up anew.")


if __name__ == "__main__":
    main()
