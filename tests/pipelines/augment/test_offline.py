import hashlib
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.augment.offline import augment_copy
from pipelines.augment.online import OnlinePolicy
from pipelines.augment.policy import LIGHT, STRONG, Group, Operation, Policy, Range

Image = NDArray[np.uint8]


def copies(img: Image, count: int, policy: Policy = LIGHT) -> list[Image]:
    return [augment_copy(img, policy=policy, seed=0, key="face", copy=copy) for copy in range(count)]


def fixed(name: str, *values: float) -> Policy:
    """A policy that does one operation of LIGHT to every image, at these values."""
    group, operation = next((g, o) for g in LIGHT.groups for o in g.operations if o.name == name)
    ranges = tuple(replace(drawn, low=value, high=value) for drawn, value in zip(operation.ranges, values, strict=True))
    always = replace(operation, chance=1.0, ranges=ranges)
    return Policy(name=name, groups=(replace(group, probability=1.0, operations=(always,)),))


@pytest.mark.parametrize("shape", [(96, 96), (96, 96, 1), (96, 96, 3), (64, 80)])
def test_shape_and_dtype_are_kept(photo: Image, shape: tuple[int, ...]) -> None:
    img = np.ascontiguousarray(np.broadcast_to(photo[: shape[0], : shape[1], None], (*shape[:2], 3)))
    img = img[..., : shape[2]] if len(shape) == 3 else img[..., 0]
    before = img.copy()
    for copy in range(20):
        out = augment_copy(img, seed=0, key="face", copy=copy)
        assert out.shape == shape
        assert out.dtype == np.uint8
    assert np.array_equal(img, before)


@given(order=st.permutations(range(12)))
@settings(max_examples=10)
def test_a_copy_is_the_same_in_any_order(photo: Image, order: list[int]) -> None:
    expected = copies(photo, 12)
    cv2.setRNGSeed(order[0])
    random.seed(order[0])
    np.random.seed(order[0])
    for copy in order:
        assert np.array_equal(augment_copy(photo, seed=0, key="face", copy=copy), expected[copy])


def test_a_copy_is_the_same_in_another_process(photo: Image) -> None:
    code = (
        "import sys, hashlib, numpy as np\n"
        "from pipelines.augment.offline import augment_copy\n"
        "img = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(96, 96)\n"
        "copies = [augment_copy(img, seed=0, key='face', copy=copy) for copy in reversed(range(20))]\n"
        "print(hashlib.sha256(np.stack(copies[::-1])).hexdigest())\n"
    )
    other = subprocess.run([sys.executable, "-c", code], input=photo.tobytes(), capture_output=True, check=True)
    assert other.stdout.decode().strip() == hashlib.sha256(np.stack(copies(photo, 20)).tobytes()).hexdigest()


def test_copies_need_no_torch_and_leave_it_importable() -> None:
    code = (
        "import sys, pipelines.augment.offline\n"
        "assert 'torch' not in sys.modules, 'imported: it takes seconds in every worker'\n"
        "import torch\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_do_not_disturb_each_other(photo: Image) -> None:
    expected = copies(photo, 60)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda copy: augment_copy(photo, seed=0, key="face", copy=copy), range(60)))
    assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))


def test_copies_keys_and_seeds_differ(photo: Image) -> None:
    made = [
        augment_copy(photo, seed=seed, key=key, copy=copy)
        for seed in (0, 1)
        for key in ("face", "other", "0/face")
        for copy in (0, 1, 10)
    ]
    assert len({one.tobytes() for one in made}) == len(made)


def test_no_copy_is_the_original(photo: Image) -> None:
    assert not any(np.array_equal(one, photo) for one in copies(photo, 50))


@pytest.mark.parametrize("height_px", [96, 64])
@pytest.mark.parametrize(
    ("name", "values", "largest", "mean"),
    [
        ("scale", (1.05,), 12, 0.6),
        ("rotation", (8.0,), 12, 0.6),
        ("translation", (3 / 96, -3 / 96), 2, 0.6),  # albumentations shifts by whole pixels
        ("brightness_contrast", (0.08, 0.85), 1, 0.6),
        ("gamma", (1.25,), 1, 0.6),
        ("gaussian_blur", (0.008,), 6, 0.6),
    ],
)
def test_each_operation_does_what_the_online_one_does(
    photo: Image, height_px: int, name: str, values: tuple[float, ...], largest: int, mean: float
) -> None:
    """The same table row through albumentations and through kornia, in gray levels."""
    photo = np.ascontiguousarray(photo[:height_px])
    offline = augment_copy(photo, policy=fixed(name, *values), seed=0, key="face", copy=0)
    online = OnlinePolicy(fixed(name, *values), 0)(torch.from_numpy(photo)[None, None], np.array([0]), 0)
    difference = np.abs(offline - online[0, 0].numpy() * 255)
    assert difference.max() <= largest
    assert difference.mean() <= mean
    assert np.abs(offline.astype(int) - photo).max() > 3 * difference.mean(), "nothing was done"


def test_the_flip_flips(photo: Image) -> None:
    assert np.array_equal(augment_copy(photo, policy=fixed("flip"), seed=0, key="face", copy=0), photo[:, ::-1])


def test_as_many_copies_are_flipped_as_the_table_says() -> None:
    left = np.zeros((32, 32), dtype=np.uint8)
    left[:, :16] = 255
    flipped = [copy[:, 16:].mean() > copy[:, :16].mean() for copy in copies(left, 400)]
    assert abs(np.mean(flipped) - LIGHT.groups[0].operations[0].chance) < 0.1


def test_a_parameter_is_drawn_from_its_whole_range() -> None:
    one = fixed("brightness_contrast", 0.0, 1.0)
    ranges = (Range("brightness", -0.1, 0.2, "of white"), Range("contrast", 1, 1, "times"))
    drawn = replace(one.groups[0].operations[0], ranges=ranges)
    gray = np.full((8, 8), 100, dtype=np.uint8)
    made = copies(gray, 200, Policy(name="drawn", groups=(replace(one.groups[0], operations=(drawn,)),)))
    brightness = (np.array([copy.mean() for copy in made]) - 100) / 255
    assert np.quantile(brightness, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([-0.1, -0.025, 0.05, 0.125, 0.2], abs=0.04)


def test_the_noise_has_its_standard_deviation() -> None:
    gray = np.full((96, 96), 128, dtype=np.uint8)
    noise = augment_copy(gray, policy=fixed("gaussian_noise", 0.03), seed=0, key="face", copy=0) - 128.0
    assert noise.std() == pytest.approx(0.03 * 255, rel=0.08)  # its noise is cut to whole levels
    assert abs(noise.mean()) < 0.5


def test_every_branch_is_taken_as_often_as_the_table_says() -> None:
    """Operations are told apart by what they do to a flat image, which geometry leaves as it is."""
    gray = np.full((32, 32), 64, dtype=np.uint8)
    count = 600
    made = np.stack([augment_copy(gray, seed=0, key=f"face {one}", copy=0) for one in range(count)]).astype(float)
    noisy = (made.std((1, 2)) > 0.5).mean()
    lit = (np.abs(np.median(made, (1, 2)) - 64) >= 1).mean()
    photometric, degradation = LIGHT.groups[1], LIGHT.groups[2]
    assert abs(noisy - degradation.probability * degradation.operations[1].chance) < 0.06
    assert abs(lit - photometric.probability) < 0.1


def test_exactly_one_branch_acts(photo: Image) -> None:
    brighter = Operation(
        name="brightness_contrast",
        chance=0.8,
        ranges=(Range("brightness", 0.1, 0.1, "of white"), Range("contrast", 1, 1, "times")),
    )
    darker = Operation(name="gamma", chance=0.2, ranges=(Range("gamma", 1.25, 1.25, "exponent"),))
    group = Group(name="photometric", probability=1.0, applies="one", operations=(brighter, darker))
    made = copies(photo, 100, Policy(name="either", groups=(group,)))
    means = np.array([float(one.mean()) - float(photo.mean()) for one in made])
    assert len(np.unique(means)) == 2
    assert 65 < (means > 0).sum() < 95


def test_other_images_than_uint8_are_refused(photo: Image) -> None:
    with pytest.raises(ValueError, match="image of face must be uint8, got float64"):
        augment_copy(photo / 255, seed=0, key="face", copy=0)  # type: ignore[arg-type]


def test_a_table_that_albumentations_is_not_given_is_refused(photo: Image) -> None:
    with pytest.raises(ValueError, match="policy strong: shear has no offline counterpart"):
        augment_copy(photo, policy=STRONG, seed=0, key="face", copy=0)
    half = replace(LIGHT.groups[0].operations[2], chance=0.5)
    sometimes = Policy(name="half", groups=(replace(LIGHT.groups[0], operations=(half,)),))
    with pytest.raises(ValueError, match="acts on every image"):
        augment_copy(photo, policy=sometimes, seed=0, key="face", copy=0)
    together = replace(LIGHT, groups=(*LIGHT.groups[:1], replace(LIGHT.groups[1], applies="all")))
    with pytest.raises(ValueError, match="all of geometry acts, and one of any other group"):
        augment_copy(photo, policy=together, seed=0, key="face", copy=0)
