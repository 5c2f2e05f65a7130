"""A folder or zip of images of your own, to samples; needs pip install "ncsn_lib[data]"."""

import dataclasses
import sys

from ncsn_lib import RECIPES, load_images, sample_run, suggest_sigmas, train_recipe
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.data import unit_images
from ncsn_lib.settings import NoiseSettings

folder, size, num_steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
images = load_images(folder, size=size)
print(images.summary)
sigmas = suggest_sigmas(unit_images(images.images))
recipe = dataclasses.replace(
    RECIPES["digits"],
    name="mine",
    dataset=folder,
    image_shape=tuple(images.images.shape[1:]),
    noise=NoiseSettings(sigmas[0].item(), sigmas[-1].item(), len(sigmas)),
    training=dataclasses.replace(RECIPES["digits"].training, num_steps=num_steps, batch_size=16),
)
run = train_recipe(recipe, "runs/mine", images=images.images)  # called again, it goes on where it was cut
write_images(sample_run(run, 16), "mine.png")
