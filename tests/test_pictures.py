"""The commands that draw pictures: grids, animations, shards, completions, interpolations."""

import errno
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image
from problems import seeded
from test_cli import fails

from ncsn_lib import files
from ncsn_lib.cli import main
from ncsn_lib.cli.pictures import picture, write_animation, write_images
from ncsn_lib.data import load_digits, unit_images
from ncsn_lib.runs import load_run
from ncsn_lib.samplers.inpainting import MASKS, make_mask
from ncsn_lib.sampling import interpolate_run, sample_run, sample_trajectory
from ncsn_lib.shards import sample_to_shards

QUICK = ["--sampling.num-steps", "1"]


def draw(command, run, out, *options):
    assert main([command, "digits", "--run-dir", str(run), "--out", str(out), *map(str, options), *QUICK]) == 0


def quick(run):
    """The run with the sampling settings of the command line."""
    found = load_run(run)
    fields = found.recipe.to_dict()
    fields["sampling"]["num_steps"] = 1
    return found._replace(recipe=found.recipe.from_dict(fields))


# --- grids


def test_a_grid_enlarges_each_pixel_and_fills_rows():
    images = torch.rand(6, 1, 8, 8, generator=seeded()) * 1.4 - 0.2  # some beyond black and white
    grid = picture(images, columns=3)
    assert (grid.shape, grid.dtype) == ((2 * 68 + 4, 3 * 68 + 4, 3), np.uint8)
    assert (grid[:4] == 128).all()  # the gap: half of 255, rounded
    for number in range(6):
        top, left = 4 + 68 * (number // 3), 4 + 68 * (number % 3)
        tile = grid[top : top + 64, left : left + 64]
        expected = (images[number, 0].clamp(0, 1) * 255).round().numpy()
        assert np.array_equal(tile, np.kron(expected, np.ones((8, 8)))[..., None].repeat(3, axis=2))


def test_colours_and_large_images_stay_as_they_are():
    image = torch.rand(1, 3, 64, 64, generator=seeded())
    expected = (image[0] * 255).round().permute(1, 2, 0).numpy()
    assert np.array_equal(picture(image), expected)  # a single one has no gap around it


# --- sample: a .gif, an .mp4, a folder


def test_sample_draws_a_gif(run, tmp_path):
    out = tmp_path / "deep" / "way.gif"
    draw("sample", run, out, "--num", 4, "--frames", 5, "--seed", 3)
    frames = sample_trajectory(quick(run), 4, num_frames=5, seed=3)
    with Image.open(out) as animation:
        assert animation.n_frames == 5
        assert animation.size == (2 * 68 + 4, 2 * 68 + 4)
        assert animation.info["loop"] == 0  # again and again
        shown = []
        for number in range(5):
            animation.seek(number)
            shown.append(animation.info["duration"])
            # Greys alone, so that a palette of 256 colours holds them all.
            assert np.array_equal(np.asarray(animation.convert("RGB")), picture(frames[number]))
    assert shown == [800] * 4 + [1500]  # four seconds over five frames; the last is held


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio_ffmpeg's reader leaves its pipes open
def test_sample_draws_an_mp4(run, tmp_path):
    out = tmp_path / "way.mp4"
    draw("sample", run, out, "--num", 4, "--frames", 8)
    reader = imageio_ffmpeg.read_frames(str(out))
    assert next(reader)["size"] == (2 * 68 + 4, 2 * 68 + 4)
    frames = list(reader)
    assert len(frames) == 8 + 3  # eight in four seconds, and a second and a half of the last
    last = np.frombuffer(frames[-1], np.uint8).reshape(140, 140, 3)
    expected = picture(sample_trajectory(quick(run), 4, num_frames=8)[-1])
    # A video is compressed: sharp edges ring. A wrong frame is off by some 80 grey values.
    assert np.abs(last.astype(float) - expected).mean() < 10


def test_a_video_that_cannot_be_written(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OSError, match=r"could not write .*a\.mp4; choose another folder"):
        write_animation(torch.rand(3, 1, 1, 8, 8), tmp_path / "a.mp4", seconds=1.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is imitated by /dev/full, which Linux has")
def test_a_video_on_a_full_disk(tmp_path, monkeypatch):
    """What ffmpeg could not write leaves the video that was there, and no half of a new one."""
    out, frames = tmp_path / "a.mp4", torch.rand(3, 1, 1, 8, 8, generator=seeded())
    write_animation(frames, out, seconds=1.0)
    before = out.read_bytes()
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    monkeypatch.setattr(files, "_beside", lambda path: tmp_path / "full.mp4")
    with pytest.raises(OSError, match=r"could not write .*a\.mp4; free some space or choose another folder"):
        write_animation(frames, out, seconds=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch, name):
    """The disk fills half-way through: the picture that was there stays."""

    write_bytes = Path.write_bytes

    def full(path, content):
        write_bytes(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    out, frames = tmp_path / name, torch.rand(3, 1, 1, 8, 8, generator=seeded())
    write = (lambda: write_images(frames[0], out)) if name == "a.png" else (lambda: write_animation(frames, out))
    write()
    before = out.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write()
    assert out.read_bytes() == before


def test_sample_fills_a_folder(capsys, run, tmp_path):
    out = tmp_path / "shards"
    draw("sample", run, out, "--num", 5, "--batch-size", 2, "--seed", 4)
    assert capsys.readouterr().out.strip() == f"5 images from step 4: {out}"
    expected = [path.read_bytes() for path in sample_to_shards(quick(run), 5, tmp_path / "x", seed=4, batch_size=2)]
    assert [path.read_bytes() for path in sorted(out.glob("*.npy"))] == expected
    said = fails(capsys, "sample", "digits", "--run-dir", run, "--out", out, "--num", 5, "--seed", 4, *QUICK)
    assert f"{out} holds other samples (batch_size differs); choose another folder" in said


def test_16_bits_are_an_option(run, tmp_path):
    draw("sample", run, tmp_path / "exact.npy", "--num", 3)
    draw("sample", run, tmp_path / "rounded.npy", "--num", 3, "--bfloat16")
    rounded = sample_run(quick(run), 3, bfloat16=True)
    assert np.array_equal(np.load(tmp_path / "rounded.npy"), rounded.numpy())
    assert not np.array_equal(np.load(tmp_path / "exact.npy"), rounded.numpy())


# --- inpaint


def given(name):
    """(8, 8) what a mask's name says, pixel by pixel, from its words alone."""
    mask = np.zeros((8, 8), bool)
    for row in range(8):
        for column in range(8):
            mask[row, column] = {
                "left": column < 4,
                "right": column >= 4,
                "top": row < 4,
                "bottom": row >= 4,
                "box": not (2 <= row <= 6 and 2 <= column <= 6),
            }[name]
    return torch.from_numpy(mask)


@pytest.mark.parametrize("name", MASKS)
def test_inpaint_keeps_what_is_given(capsys, run, tmp_path, name):
    out = tmp_path / "completed.npy"
    draw("inpaint", run, out, "--mask", name, "--num", 3, "--completions", 2)
    told = ["digits (test): 360 images of 10 classes", f"2 completions of each of 3 images: {out}"]
    assert capsys.readouterr().out.splitlines() == told
    mask = make_mask("random", (8, 8), seed=0) if name == "random" else given(name)
    completions = torch.from_numpy(np.load(out))
    assert completions.shape == (3, 2, 1, 8, 8)
    digits = unit_images(load_digits("test").images)
    for pair in completions:
        # Both agree with one digit of the test split where it is given, and with nothing elsewhere.
        same = (digits[:, 0][:, mask] == pair[0, 0][mask]).all(dim=1)
        assert same.any()
        assert torch.equal(pair[0, 0][mask], pair[1, 0][mask])
        assert (pair[0] != pair[1])[..., ~mask].all()


def test_a_random_mask_gives_a_fifth():
    mask = make_mask("random", (200, 200), seed=0)
    assert abs(mask.float().mean() - 0.2) < 5 * (0.2 * 0.8 / 40_000) ** 0.5  # five binomial standard errors
    assert torch.equal(mask, make_mask("random", (200, 200), seed=0))
    assert not torch.equal(mask, make_mask("random", (200, 200), seed=1))


def test_inpaint_draws_rows(run, tmp_path):
    out = tmp_path / "rows.png"
    draw("inpaint", run, out, "--num", 3, "--completions", 2)
    with Image.open(out) as image:
        assert image.size == (4 * 68 + 4, 3 * 68 + 4)  # the digit, what is given of it, two completions
        grid = np.asarray(image)
    digit, half, first = (grid[4:68, 4 + 68 * n : 68 + 68 * n] for n in range(3))
    assert np.array_equal(digit[:, :32], half[:, :32])
    assert (half[:, 32:] == 128).all()
    assert np.array_equal(first[:, :32], digit[:, :32])


def test_inpaint_by_a_picture_of_a_mask(run, tmp_path):
    white = torch.rand(8, 8, generator=seeded(1)) < 0.5
    Image.fromarray((white * 255).to(torch.uint8).numpy()).save(tmp_path / "mask.png")
    draw("inpaint", run, tmp_path / "c.npy", "--mask", tmp_path / "mask.png", "--num", 1, "--completions", 3)
    completions = torch.from_numpy(np.load(tmp_path / "c.npy"))[0, :, 0]
    spread = completions.std(0)
    assert torch.equal(spread == 0, white)  # given pixels are the same in all, the others in none


def test_inpaint_images_of_a_folder(run, tmp_path):
    (tmp_path / "own").mkdir()
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save(tmp_path / "own" / "a.png")
    draw("inpaint", run, tmp_path / "c.npy", "--data", tmp_path / "own", "--mask", "top", "--renoise")
    completions = np.load(tmp_path / "c.npy")
    assert completions.shape == (1, 5, 1, 8, 8)  # of the eight that are asked for there is one
    assert np.array_equal(completions[0, :, 0, :4], np.broadcast_to(pixels[:4] / np.float32(255), (5, 4, 8)))


def test_masks_that_are_none(capsys, run, tmp_path):
    argv = ["inpaint", "digits", "--run-dir", run, "--out", tmp_path / "c.png", "--mask"]
    said = fails(capsys, *argv, "lft")
    assert "--mask must be left, right, top, bottom, box, random or a picture, got lft, which is no file" in said
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    said = fails(capsys, *argv, tmp_path / "wide.png")
    assert f"the mask must have the images' size 8x8, got {tmp_path / 'wide.png'} of 9x8" in said
    (tmp_path / "words.png").write_text("no picture")
    assert f"cannot identify image file '{tmp_path / 'words.png'}'" in fails(capsys, *argv, tmp_path / "words.png")
    assert not (tmp_path / "c.png").exists()


# --- interpolate


def test_interpolate_writes_rows_between_samples(capsys, run, tmp_path):
    draw("interpolate", run, tmp_path / "i.npy", "--rows", 2, "--num", 3, "--seed", 5)
    assert capsys.readouterr().out.strip() == f"2 rows of 3 images: {tmp_path / 'i.npy'}"
    expected = torch.stack([interpolate_run(quick(run), 3, seed=seed) for seed in (5, 6)])
    assert np.array_equal(np.load(tmp_path / "i.npy"), expected.numpy())
    draw("interpolate", run, tmp_path / "i.png", "--rows", 2, "--num", 3, "--seed", 5)
    with Image.open(tmp_path / "i.png") as image:
        assert np.array_equal(np.asarray(image), picture(expected.flatten(0, 1), columns=3))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["interpolate", "digits", "--num", "1"], "num must be at least 2, got 1"),
        (["interpolate", "digits", "--rows", "0"], "rows must be at least 1, got 0"),
        (["interpolate", "digits", "--out", "a.gif"], "--out must end in .png or .npy, got a.gif"),
        (["inpaint", "digits", "--num", "0"], "num must be at least 1, got 0"),
        (["inpaint", "digits", "--completions", "0"], "completions must be at least 1, got 0"),
        (["inpaint", "digits", "--out", "a"], "--out must end in .png or .npy, got a"),
        (["sample", "digits", "--frames", "1"], "frames must be at least 2, got 1"),
        (["sample", "fig1_raw"], "the recipe fig1_raw is trained for Fig. 1, left"),
        (["interpolate", "toy"], "it has no sampler"),
        (["inpaint", "fig1_noise"], "it has no sampler"),
        (["train", "toy", "--sample-every", "1"], "it has no sampler"),
    ],
)
def test_mistakes_leave_nothing_behind(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, *argv)
    assert not list(tmp_path.iterdir())


def test_a_mask_that_has_no_name():
    with pytest.raises(ValueError, match="a mask must be left, right, top, bottom, box, random, got 'middle'"):
        make_mask("middle", (8, 8))
