"""Decoded images on disk: the same as decoded, mapped, made anew when stale or damaged, whole or not at all."""

import json
import multiprocessing
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from PIL import Image

import ncsn_lib.data.cache
import ncsn_lib.data.folders
from ncsn_lib.data import cache_folder, load_images, load_mnist


@pytest.fixture(params=["folder", "zip"])
def pictures(request, tmp_path):
    """Six pictures of two classes, and how to write them with one changed."""

    def write(seed=0, broken=False):
        generator, path = np.random.default_rng(seed), tmp_path / ("set.zip" if request.param == "zip" else "set")
        files = {}
        for number in range(6):
            shape = (5, 7) if number == 0 else (5, 7, 3)  # the first one is grey: the array grows with the second
            file = tmp_path / "one.png"
            Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(file)
            files[f"{'ab'[number // 3]}/{number}.png"] = file.read_bytes()
        if broken:
            files["a/2.png"] = b"no picture"
        if request.param == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            for name, content in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
        return path

    return write


@pytest.fixture
def decoded(monkeypatch):
    """The number of pictures decoded so far."""
    names = []
    real = ncsn_lib.data.folders.decode

    def counting(content, **options):
        names.append(len(content))
        return real(content, **options)

    monkeypatch.setattr(ncsn_lib.data.folders, "decode", counting)
    return names


def same(ours, theirs):
    return torch.equal(ours.images, theirs.images) and torch.equal(ours.labels, theirs.labels)


def test_the_second_start_decodes_nothing_and_gives_the_same(pictures, decoded, tmp_path):
    path, cache = pictures(), tmp_path / "cache"
    expected = load_images(path)
    assert expected.images.shape == (6, 3, 5, 7)
    assert expected.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert same(load_images(path, cache=cache), expected)
    assert len(decoded) == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of torch, which would warn of an array that cannot be written to
        again = load_images(path, cache=cache)
    assert same(again, expected)
    assert len(decoded) == 12
    assert sorted(file.suffix for file in cache.rglob("*") if file.is_file()) == [".json", ".lock", ".npy"]


@pytest.mark.skipif(sys.platform != "linux", reason="the mapped files are listed in /proc")
def test_it_is_mapped_and_writing_to_it_changes_no_file(pictures, tmp_path):
    path, cache = pictures(), tmp_path / "cache"
    loaded = load_images(path, cache=cache).images
    before = loaded.clone()
    file = next(cache.rglob("*.npy"))
    assert str(file) in Path("/proc/self/maps").read_text()
    loaded.zero_()
    assert torch.equal(load_images(path, cache=cache).images, before)


def test_other_settings_are_another_cache(pictures, decoded, tmp_path):
    path, cache = pictures(), tmp_path / "cache"
    assert load_images(path, cache=cache).images.shape[2:] == (5, 7)
    assert load_images(path, cache=cache, size=4).images.shape[2:] == (4, 4)
    assert load_images(path, cache=cache).images.shape[2:] == (5, 7)
    assert len(decoded) == 12


def test_a_changed_source_is_decoded_again(pictures, tmp_path):
    cache = tmp_path / "cache"
    first = load_images(pictures(), cache=cache)
    time.sleep(0.02)  # longer than a tick of the file system's clock
    path = pictures(seed=1)
    assert not same(load_images(path, cache=cache), first)
    assert same(load_images(path, cache=cache), load_images(path))
    assert len(list(cache.rglob("*.npy"))) == 1


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda file: file.write_bytes(b"")])
def test_a_damaged_cache_is_made_anew(pictures, tmp_path, suffix, damage):
    path, cache = pictures(), tmp_path / "cache"
    expected = load_images(path, cache=cache)
    expected = type(expected)(expected.images.clone(), expected.labels)
    time.sleep(0.02)
    damage(next(cache.rglob(f"*{suffix}")))
    assert same(load_images(path, cache=cache), expected)
    assert json.loads(next(cache.rglob("*.json")).read_text())["labels"] == [0, 0, 0, 1, 1, 1]


def test_left_out_images_are_told_of_each_time(pictures, tmp_path):
    path = pictures(broken=True)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 image left out, which cannot be read, first a/2\.png"):
            loaded = load_images(path, cache=tmp_path / "cache", skip_broken=True)
        assert loaded.labels.tolist() == [0, 0, 1, 1, 1]


def test_a_failure_leaves_nothing(pictures, tmp_path):
    path, cache = pictures(broken=True), tmp_path / "cache"
    with pytest.raises(ValueError, match=r"the image a/2\.png cannot be read"):
        load_images(path, cache=cache)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]


def test_what_a_killed_run_left_is_deleted_after_a_day(pictures, tmp_path):
    cache = tmp_path / "cache"
    for name, age in [
        (f".unfinished-{0:012x}-old", 90_000),
        (f".unfinished-{1:012x}-new", 60),
        (".unfinished-mine", 90_000),
    ]:
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (time.time() - age,) * 2)
    load_images(pictures(), cache=cache)
    assert sorted(file.name for file in cache.glob(".unfinished-*")) == [
        f".unfinished-{1:012x}-new",
        ".unfinished-mine",
    ]


def test_a_cache_that_cannot_be_written(pictures, tmp_path):
    (tmp_path / "cache").write_text("mine")
    path = pictures()
    with pytest.warns(UserWarning, match="read without the cache") as caught:
        loaded = load_images(path, cache=tmp_path / "cache")
    assert same(loaded, load_images(path))
    told = r"read without the cache .*cache/set.*, which cannot be written \(.*\); set NCSN_CACHE to another folder"
    assert [bool(re.search(told, str(warning.message))) for warning in caught] == [True]


def load_in_rounds(path, cache, log, barrier, num_rounds):
    """What each of several processes does: it decodes into cold caches, and notes each picture that it decodes."""
    real = ncsn_lib.data.folders.decode

    def noting(content, **options):
        with open(log, "ab", buffering=0) as file:
            file.write(b".")
        return real(content, **options)

    ncsn_lib.data.folders.decode = noting
    for number in range(num_rounds):
        barrier.wait(60)
        loaded = load_images(path, cache=cache / str(number))
        assert loaded.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert loaded.images.sum() > 0


@pytest.mark.parametrize("pictures", ["folder"], indirect=True)
def test_of_several_processes_one_decodes(pictures, tmp_path):
    path, log, num, num_rounds = pictures(), tmp_path / "log", 4, 12
    context = multiprocessing.get_context("spawn")
    arguments = path, tmp_path / "cache", log, context.Barrier(num), num_rounds
    processes = [context.Process(target=load_in_rounds, args=arguments) for _ in range(num)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * num
    assert log.stat().st_size == 6 * num_rounds


def test_a_full_disk(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    path = pictures()
    with pytest.warns(UserWarning, match=r"read without the cache .* \(No space left on device\); set NCSN_CACHE"):
        loaded = load_images(path, cache=tmp_path / "cache")
    assert same(loaded, load_images(path))


def test_a_cache_that_another_program_changes(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(ncsn_lib.data.cache, "_read", lambda place, source: None)
    path = pictures()
    with pytest.warns(UserWarning, match="read without the cache .*: another program writes there"):
        assert same(load_images(path, cache=tmp_path / "cache"), load_images(path))


def test_more_images_than_the_memory_holds(pictures, monkeypatch):
    def full(shape, dtype):
        raise MemoryError

    path = pictures()
    monkeypatch.setattr(ncsn_lib.data.cache.np, "empty", full)
    with pytest.raises(ValueError, match=r"images of \(6, 1, 5, 7\) bytes do not fit the memory; keep them in a cache"):
        load_images(path)


@pytest.fixture
def no_home(tmp_path, monkeypatch):
    """A user without a home, as one has a container started as an unknown user."""
    for name in ("NCSN_CACHE", "NCSN_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # which it gives back where there is no home
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"ncsn_lib-{os.getuid()}"


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux names its folders")
def test_without_a_home_the_cache_is_a_folder_of_ones_own(no_home):
    for _ in range(2):
        assert cache_folder() == no_home
    assert stat.filemode(no_home.stat().st_mode) == "drwx------"
    assert len(load_mnist("test").labels) == 10_000
    assert (no_home / "mnist-test" / "record.json").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux names its folders")
@pytest.mark.parametrize("kind", ["link", "file", "open", "another's"])
def test_a_folder_that_others_write_to_is_no_cache(no_home, kind, monkeypatch, tmp_path):
    if kind == "link":
        no_home.symlink_to(tmp_path)
    elif kind == "file":
        no_home.touch()
    else:
        no_home.mkdir()
        no_home.chmod(0o777 if kind == "open" else 0o700)
        if kind == "another's":
            monkeypatch.setattr(os, "getuid", lambda: int(no_home.name.split("-")[1]) + 1)
            no_home.rename(no_home.with_name(f"ncsn_lib-{os.getuid()}"))
    with pytest.raises(OSError, match=r"ncsn_lib-\d+ is not a folder of yours alone; delete it, or set NCSN_CACHE"):
        cache_folder()
    assert len(load_mnist("test").labels) == 10_000


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="needs setpriv, and to be root")
@pytest.mark.parametrize("home", [None, "/", "/nowhere"])
def test_a_container_of_an_unknown_user(home, tmp_path):
    """As `docker run --user 12345` starts it: without a home in the list of users, and with / or nothing as HOME."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ncsn_lib.data import cache_folder, load_images, load_mnist\n"
        "print(len(load_mnist('test').labels), load_images(sys.argv[2], cache=cache_folder()).images.shape)"
    )
    tmp_path.chmod(0o755)
    with tempfile.TemporaryDirectory() as folder:  # below tmp_path no other user can look
        Path(folder).chmod(0o1777)
        Image.new("L", (4, 4)).save(Path(folder) / "a.png")
        wanted = {"TMPDIR": folder, "PATH": os.environ["PATH"]} | ({} if home is None else {"HOME": home})
        python = ["setpriv", "--reuid", "12345", "--clear-groups", sys.executable, "-c"]
        if subprocess.run([*python, "import platformdirs"], env=wanted, cwd="/", check=False).returncode:
            pytest.skip("another user cannot read what is installed here")
        command = [*python, script, str(Path(__file__).parents[1]), folder]
        done = subprocess.run(command, capture_output=True, text=True, env=wanted, cwd="/")
        assert done.stdout == "10000 torch.Size([1, 1, 4, 4])\n", done.stderr
        assert done.stderr.count("without the cache") == (0 if home is None else 2)
        assert (Path(folder) / "ncsn_lib-12345").is_dir() == (home is None)


def test_the_folder_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("NCSN_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("NCSN_CACHE")
    assert cache_folder() == platformdirs.user_cache_path("ncsn_lib", appauthor=False)
