"""Every architecture of the study builds, takes gray images of other sizes, and learns from a step."""

import re
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fastfer.config import RECIPES, TrainConfig
from fastfer.models import ARCHITECTURES, build_model, flops_per_image, parameter_count, timm_name
from pipelines.errors import InputError


@pytest.mark.parametrize("arch", [*ARCHITECTURES, "resnet10t"])
def test_builds_for_gray_64_px_and_takes_a_training_step(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(arch, channels=1, num_classes=7, image_size=64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    img_BCHW, label_B = torch.randn(4, 1, 64, 64), torch.tensor([0, 1, 2, 3])
    before = [parameter.detach().clone() for parameter in model.parameters()]
    losses = []
    for _ in range(4):
        logits_BK = model(img_BCHW)
        assert logits_BK.shape == (4, 7)
        loss = F.cross_entropy(logits_BK, label_B)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(changed)
    assert parameter_count(model) == sum(tensor.numel() for tensor in before)


@pytest.mark.parametrize(("arch", "gmacs"), [("resnet", 4.1), ("efficientnet", 0.4), ("vit", 4.6)])
def test_flops_are_twice_the_published_multiplications_and_draw_nothing(arch: str, gmacs: float) -> None:
    state = torch.random.get_rng_state()
    found = flops_per_image(arch, channels=3, num_classes=1000, image_size=224)
    assert found / 2e9 == pytest.approx(gmacs, rel=0.05)  # timm's results table, rounded to a tenth
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("arch", "image_size", "own"),
    [
        ("crossvit_tiny_240", 224, 240),
        ("dla34", 48, 224),
        ("vit", 8, 224),
        ("maxvit_nano_rw_256", 100, 256),
        ("resnet10t", 10**6, 176),
    ],
)
def test_an_architecture_that_does_not_take_the_size_says_so_before_the_first_step(
    arch: str, image_size: int, own: int
) -> None:
    with pytest.raises(InputError, match=f"cannot be built for images of {image_size} px, .* IMAGE_SIZE={own}: "):
        build_model(arch, channels=1, num_classes=7, image_size=image_size)


def test_building_draws_the_initial_weights_and_nothing_else() -> None:
    """A network's weights are those that timm draws from the seed, and it comes ready to learn."""
    torch.manual_seed(0)
    built = build_model("test_efficientnet", channels=1, num_classes=7, image_size=32)
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    plain = timm.create_model("test_efficientnet", in_chans=1, num_classes=7)
    assert torch.equal(state, torch.random.get_rng_state())
    assert built.training
    assert all(torch.equal(tensor, built.state_dict()[name]) for name, tensor in plain.state_dict().items())


def test_every_architecture_of_the_study_has_a_recipe() -> None:
    assert set(RECIPES) == set(ARCHITECTURES)


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(InputError, match=re.escape("did you mean resnet50")):
        timm_name("resnet5O")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_colour_weights_from_a_file_become_gray_ones(tmp_path: Path, suffix: str) -> None:
    colour = timm.create_model("resnet10t")
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(colour.state_dict(), str(file))
    else:
        save_file(colour.state_dict(), str(file))
    gray = build_model("resnet10t", channels=1, num_classes=7, image_size=64, pretrained=True, weights=file)
    expected = colour.state_dict()["conv1.0.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(gray.state_dict()["conv1.0.weight"], expected)
    torch.testing.assert_close(gray.state_dict()["layer1.0.conv1.weight"], colour.state_dict()["layer1.0.conv1.weight"])


def test_vit_weights_of_224_px_serve_other_sizes(tmp_path: Path) -> None:
    file = tmp_path / "vit.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), str(file))
    model = build_model("vit_tiny_patch16_224", channels=1, num_classes=7, image_size=96, pretrained=True, weights=file)
    assert model(torch.randn(1, 1, 96, 96)).shape == (1, 7)


def test_weights_that_cannot_be_had_are_said_and_never_replaced_by_nothing(tmp_path: Path) -> None:
    settings = {"channels": 1, "num_classes": 7, "image_size": 64, "pretrained": True}
    with pytest.raises(InputError, match="give WEIGHTS=path, or start from nothing with PRETRAINED=0"):
        build_model("resnet", **settings)
    with pytest.raises(InputError, match="no weights file"):
        build_model("resnet", **settings, weights=tmp_path / "nowhere.pth")
    torch.save({"something": torch.zeros(1)}, str(tmp_path / "else.pth"))
    with pytest.raises(InputError, match="do not fit resnet10t"):
        build_model("resnet10t", **settings, weights=tmp_path / "else.pth")


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path("/tmp/fastfer-unpickled").write_text, ("run",))


def test_a_weights_file_is_never_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "hostile.pth"
    torch.save(Hostile(), str(file))
    with pytest.raises(InputError, match="do not fit"):
        build_model("resnet10t", channels=1, num_classes=7, image_size=64, pretrained=True, weights=file)
    assert not Path("/tmp/fastfer-unpickled").exists()


def test_weights_and_none_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="choose one"):
        TrainConfig(dataset="rafdb", pretrained=False, weights=Path("x.pth"))
