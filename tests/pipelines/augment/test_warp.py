from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._inductor import list_options
from torch._inductor.utils import fresh_cache, run_and_get_code

from pipelines.augment.compiled_warp import (
    IN_ONE_PASS,
    OPTIONS,
    CompiledWarper,
    compiled,
    lines,
    pack,
    warp_packed,
)
from pipelines.augment.draws import draw
from pipelines.augment.geometry import MOVES, in_pixels, sampling_matrices
from pipelines.augment.policy import STRONG
from pipelines.augment.warp import Warper, warp

EAGER = partial(CompiledWarper, "eager")
"""The compiler's code run as it stands."""
WARPERS = {"eager": Warper, "compiled": EAGER}


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> None:
    """Torch compiles a function a few times at the most, in all tests together."""
    torch.compiler.reset()


def strong_sampling(batch: int, height_px: int, width_px: int) -> NDArray[np.float64]:
    geometry = [one for one in draw(STRONG, 0, 0, np.arange(batch)) if one.operation.name in MOVES]
    return sampling_matrices(geometry, batch, height_px, width_px)


def neutral(batch: int) -> Tensor:
    return torch.tensor([[1.0], [0.0]]).expand(2, batch)


def warped(
    warper: Warper, img: Tensor, sampling: NDArray[np.float64], tone: Tensor | None = None, *, rows: int = 3
) -> Tensor:
    matrices = torch.from_numpy(warper.matrices(sampling, *img.shape[2:])[:, :rows]).float()
    out = torch.full(img.shape, torch.nan)
    warper(img, warper.prepared(matrices, neutral(len(img)) if tone is None else tone, img.shape[2]), out)
    return out


@pytest.mark.parametrize("kind", WARPERS)
def test_without_perspective_the_division_may_be_left_out(kind: str, photos: Tensor) -> None:
    affine = [one for one in draw(STRONG, 0, 0, np.arange(6)) if one.operation.name in ("rotation", "shear")]
    sampling = sampling_matrices(affine, 6, 96, 96)
    with_division, without = (warped(WARPERS[kind](), photos, sampling, rows=rows) for rows in (3, 2))
    torch.testing.assert_close(without, with_division, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", WARPERS)
@pytest.mark.parametrize("batch", [1, 21, 22, 50, 120])
def test_chunks_give_exactly_what_single_images_give(kind: str, photo: NDArray[np.uint8], batch: int) -> None:
    img = torch.from_numpy(photo).expand(batch, 3, 96, 96)
    sampling = strong_sampling(batch, 96, 96)
    tone = torch.stack([torch.linspace(0.7, 1.3, batch), torch.linspace(-0.1, 0.1, batch)])
    out = warped(WARPERS[kind](), img, sampling, tone)
    alone = [
        warped(WARPERS[kind](), img[i : i + 1], sampling[i : i + 1], tone[:, i : i + 1]) for i in range(0, batch, 7)
    ]
    assert torch.equal(out[::7], torch.cat(alone))
    assert not out.isnan().any()


@pytest.mark.parametrize("kind", WARPERS)
def test_a_warper_serves_batches_of_different_sizes(kind: str, photos: Tensor) -> None:
    warper = WARPERS[kind]()
    for batch, size_px in ((6, 96), (2, 96), (6, 64), (6, 96)):
        img = photos[:batch, :, :size_px, :size_px]
        sampling = strong_sampling(batch, size_px, size_px)
        assert torch.equal(warped(warper, img, sampling), warped(WARPERS[kind](), img, sampling))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "zoom"), [((16, 16), 0.6), ((60, 40), 0.6), ((60, 40), 1), ((4, 6), 1)])
def test_the_compilers_warp_is_the_same(photos: Tensor, channels: int, size: tuple[int, int], zoom: float) -> None:
    """Zoomed out it reaches nearly an image's side outside."""
    img = photos[:6, :, : size[0], : size[1]].expand(-1, channels, -1, -1)
    sampling = strong_sampling(6, *size) @ np.diag([1 / zoom, 1 / zoom, 1])
    torch.testing.assert_close(warped(EAGER(), img, sampling), warped(Warper(), img, sampling), atol=1e-4, rtol=0)


@pytest.mark.parametrize("zoom", [0.34, 0.3, 0.2, 0.1])
def test_far_outside_the_compilers_warp_shows_levels_of_the_image_too(photos: Tensor, zoom: float) -> None:
    """Up to an image's side outside it is the same, and beyond nothing that is none of its levels."""
    img = 60 + photos[:6] // 2
    sampling = sampling_matrices([], 6, 96, 96) @ np.diag([1 / zoom, 1 / zoom, 1])
    ours, plain = warped(EAGER(), img, sampling), warped(Warper(), img, sampling)
    near = slice(round(48 - 1.5 * 96 * zoom) + 1, round(48 + 1.5 * 96 * zoom) - 1) if zoom < 1 / 3 else slice(None)
    torch.testing.assert_close(ours[..., near, near], plain[..., near, near], atol=1e-4, rtol=0)
    lowest, highest = img.min() / 255, img.max() / 255
    assert lowest - 1e-6 <= ours.min() <= ours.max() <= highest + 1e-6


@pytest.mark.parametrize("affine", ["near", "far"])
def test_images_are_the_same_beside_others_that_lead_far_outside(affine: str, photos: Tensor) -> None:
    turned = strong_sampling(12, 96, 96)
    turned = turned[~turned[:, 2, :2].any(axis=1)][:3]
    others = turned if affine == "near" else turned @ np.diag([9, 9, 1])
    alone = warped(EAGER(), photos[:3], turned)
    together = warped(EAGER(), photos[:3].repeat(2, 1, 1, 1), np.concatenate([turned, others]))
    assert torch.equal(together[:3], alone)


@pytest.mark.parametrize("kind", WARPERS)
def test_what_nothing_moves_is_left_beside_what_is_tilted_or_leads_far_outside(kind: str, photos: Tensor) -> None:
    """Its last row and column lie just where places are mirrored."""
    still, tilted, far = sampling_matrices([], 6, 96, 96), strong_sampling(6, 96, 96), np.diag([9.0, 9.0, 1.0])
    for others in (tilted, still @ far):
        out = warped(WARPERS[kind](), photos.repeat(2, 1, 1, 1), np.concatenate([still, others]))
        torch.testing.assert_close(out[:6], photos / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize("width_px", [96, 95])
@pytest.mark.parametrize("row", [0, 1, slice(None)])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30, -1e30])
def test_only_the_image_is_read_whatever_a_matrix_says(
    value: float, row: int | slice, width_px: int, photos: Tensor
) -> None:
    """Compiled code does not check it; run as it stands, another place is an IndexError."""
    img = photos[..., :width_px]
    sampling = np.eye(3)[None].repeat(6, axis=0)
    sampling[:, row] = value
    with np.errstate(invalid="ignore", over="ignore"):
        warped(EAGER(), img, sampling)
        sampling[:, 2] = 0, 0, 1
        warped(EAGER(), img, sampling)


@pytest.mark.parametrize("size_px", [96, 95, 3, 2])
@pytest.mark.parametrize("beyond_px", [-1e-9, 0.5, 1, 1.5])
def test_near_the_limit_up_to_which_nothing_is_checked_the_image_alone_is_read(
    size_px: int, beyond_px: float, photos: Tensor
) -> None:
    img, last_px = photos[..., :size_px, :size_px], size_px - 1
    reach_px = 2 * last_px - 1 + beyond_px
    for turn in (np.eye(2), -np.eye(2), np.eye(2)[::-1]):
        sampling = np.eye(3)[None].repeat(6, axis=0)
        sampling[:, :2, :2] = turn * (2 * reach_px / last_px - 1)
        assert EAGER().matrices(sampling, size_px, size_px).shape[1] == (2 if beyond_px < 0 else 3)
        found = warped(EAGER(), img, sampling)
        if beyond_px <= 1:  # a whole side outside, from which on it does not mirror
            torch.testing.assert_close(found, warped(Warper(), img, sampling), atol=1e-4, rtol=0)


def test_places_that_float32_cannot_number_are_found_too() -> None:
    size_px = 4104  # 2**24 pixels are 4096 x 4096
    img = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, size_px, size_px), dtype=np.uint8))
    out = warped(EAGER(), img, np.eye(3)[None])[..., -8:, :]
    torch.testing.assert_close(out, img[..., -8:, :] / 255, atol=1e-3, rtol=0)  # as a place is 2e-4 px beside its pixel


def test_torch_knows_the_options_of_every_backend() -> None:
    known = set(list_options())
    for backend, options in OPTIONS.items():
        assert options
        assert options.keys() | IN_ONE_PASS.keys() <= known
        CompiledWarper(backend)


def test_the_compiled_warp_keeps_nothing_in_memory_on_the_way(photos: Tensor) -> None:
    """A second pass would go unnoticed but for the time that it takes."""
    packed, out = torch.zeros(6, 95 * 96, dtype=torch.int32), torch.empty(6, 96, 96)
    pack(photos[:, 0], packed)
    warped = compiled(warp_packed, "inductor", in_one_pass=True)
    with fresh_cache():
        _, (code,) = run_and_get_code(
            warped, packed, *lines(torch.eye(3)[:2].repeat(6, 1, 1), 96), torch.arange(96.0), *neutral(6), out
        )
    assert "cpp_fused" in code
    assert "= empty_strided" not in code


def test_an_option_that_this_torch_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given to torch it would be an error."""
    with pytest.raises(RuntimeError, match="Unexpected optimization option"):
        torch.compile(warp_packed, options={"no_such_option": True})
    monkeypatch.setitem(OPTIONS, "inductor", {"no_such_option": True})
    compiled(pack, "inductor")


@pytest.mark.parametrize("kind", WARPERS)
def test_gain_and_shift_act_after_the_warp_and_are_clipped(kind: str, photos: Tensor) -> None:
    sampling = strong_sampling(6, 96, 96)
    tone = torch.tensor([[1.0, 1.4, 0.5, 1.0, 1.2, 2.0], [0.0, 0.0, 0.1, -0.3, 0.3, -0.5]])
    matrices = torch.from_numpy(sampling).float()
    expected = (warp(photos / 255, matrices) * tone[0].view(6, 1, 1, 1) + tone[1].view(6, 1, 1, 1)).clamp(0, 1)
    assert expected.amin() == 0
    assert expected.amax() == 1
    torch.testing.assert_close(warped(WARPERS[kind](), photos, sampling, tone), expected, atol=1e-4, rtol=0)


def test_floats_and_bytes_are_one(photos: Tensor) -> None:
    sampling = strong_sampling(6, 96, 96)
    assert torch.equal(warped(Warper(), photos, sampling), warped(Warper(), photos / 255, sampling))


def test_compiles_without_graph_breaks(photos: Tensor) -> None:
    img = photos[:2, 0, :16, :16]
    packed, as_compiled = torch.zeros(2, 2, 15 * 16, dtype=torch.int32)
    pack(img, packed)
    torch.compile(pack, backend="aot_eager", fullgraph=True)(img, as_compiled)
    assert torch.equal(as_compiled, packed)
    matrices = torch.from_numpy(in_pixels(strong_sampling(2, 16, 16), 16, 16)).float()
    for rows in (3, 2):
        out, expected = torch.empty(img.shape), torch.empty(img.shape)
        compiled = torch.compile(warp_packed, backend="aot_eager", fullgraph=True)
        given = packed, *lines(matrices[:, :rows], 16), torch.arange(16.0), *neutral(2)
        compiled(*given, out)
        warp_packed(*given, expected)
        assert torch.equal(out, expected)
