"""Images to learn from: data sets by name, any folder or zip, and the paper's preparation of a batch.

Nothing is read or downloaded on import.
"""

from ncsn_lib.data.cache import cache_folder
from ncsn_lib.data.datasets import (
    CLASSES,
    DATASETS,
    Download,
    check_split,
    downloads,
    load_celeba,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_mnist,
)
from ncsn_lib.data.folders import ImageFolder, LabelledImages, fingerprint, load_images
from ncsn_lib.data.transforms import check_unit_range, dequantize, random_flip, random_shift, unit_images

__all__ = [
    "CLASSES",
    "DATASETS",
    "Download",
    "ImageFolder",
    "LabelledImages",
    "cache_folder",
    "check_split",
    "check_unit_range",
    "dequantize",
    "downloads",
    "fingerprint",
    "load_celeba",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_images",
    "load_mnist",
    "random_flip",
    "random_shift",
    "unit_images",
]
