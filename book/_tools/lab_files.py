"""Write what the labs of a page load once a reader asks for it: python book/_tools/lab_files.py FOLDER.

The network `mnist_small_wide` as ONNX, by `python -m ncsn_lib export`; MNIST's training images, 10,000 to a file; and
`files.json`, which names them with their sizes. Each file is packed by gzip, and the page unpacks it: a static host
need not compress. What is there already and still up to date is left.
"""

import gzip
import io
import json
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from chapters import BOOK, RESULTS, ROOT, command_line, digest, files_below, use_utf8

MODEL = RESULTS / "models" / "mnist_small_wide.safetensors"
SOURCES = [MODEL, MODEL.with_name(f"{MODEL.name}.json"), ROOT / "ncsn_lib" / "onnx_export.py", Path(__file__).resolve()]
VENDOR = BOOK / "assets" / "vendor" / "onnxruntime-web"
RUNTIMES = {"wasm": "ort-wasm-simd-threaded.wasm.gz", "webgpu": "ort-wasm-simd-threaded.jspi.wasm.gz"}
PER_FILE = 10_000  # images


def sources_digest():
    """Changes when the network or the way it is exported changes."""
    return digest(SOURCES + files_below(ROOT / "ncsn_lib" / "networks", "*.py"))


def packed_network():
    """The network's ONNX file, packed."""
    from ncsn_lib.cli import main as ncsn_lib

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        with redirect_stdout(io.StringIO()):
            status = ncsn_lib(["export", "mnist_small_wide", "--run-dir", str(MODEL), "--out", str(path)])
        if status:
            raise SystemExit(status)
        return gzip.compress(path.read_bytes(), mtime=0)


def parts_of_digits():
    """MNIST's training images as bytes (N, 784), PER_FILE to a part."""
    from ncsn_lib import load_mnist

    return (255 * load_mnist("train").images).round().byte().flatten(1).split(PER_FILE)


def write_files(folder):
    """Write what is missing or stale below a folder."""
    folder = Path(folder)
    listing = folder / "files.json"
    made_from = sources_digest()
    if listing.exists():
        old = json.loads(listing.read_text(encoding="utf-8"))
        if old["made_from"] == made_from:
            return
    folder.mkdir(parents=True, exist_ok=True)

    def put(name, packed, **told):
        (folder / name).write_bytes(packed)
        return {"name": name, "bytes": len(packed), **told}

    def put_part(number, images):
        return put(f"digits_{number}.gz", gzip.compress(images.numpy().tobytes(), mtime=0), images=len(images))

    listed = {
        "made_from": made_from,
        "runtimes": {key: {"name": name, "bytes": (VENDOR / name).stat().st_size} for key, name in RUNTIMES.items()},
        "network": put("mnist_small_wide.onnx.gz", packed_network()),
        "digits": [put_part(number, images) for number, images in enumerate(parts_of_digits())],
    }
    listing.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def main():
    """Write the files into the folder that is named."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("folder", help="where to")
    write_files(parser.parse_args().folder)


if __name__ == "__main__":
    main()
