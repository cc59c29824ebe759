"""Builds the networks that a study compares, all from timm."""

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import InputError

if TYPE_CHECKING:
    from torch import nn  # timm and torch are imported where used: the command line must start in a blink

ARCHITECTURES: Final = {
    "resnet": "resnet50",
    "efficientnet": "efficientnet_b0",
    "vit": "vit_small_patch16_224",
    "efficientvit": "efficientvit_b1",
}
"""The study's names, and the timm models they stand for. Any other timm name is taken as it is."""
NAME: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
HUB_FILE: Final = "model.safetensors"
HUB_TIMEOUT_S: Final = 10


def timm_name(arch: str) -> str:
    """The timm model that `arch` names.

    Raises:
        InputError: neither a name of the study nor one of timm's.
    """
    import timm

    name = ARCHITECTURES.get(arch, arch)
    if not _is_known(name):
        near = difflib.get_close_matches(name, [*ARCHITECTURES, *timm.list_models()], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"no architecture {arch!r}: choose {', '.join(ARCHITECTURES)}, or any timm model{hint}")
    return name


def _is_known(name: str) -> bool:
    """Whether it is one of timm's names, without a tag or with one that timm has; it becomes part of folders' names."""
    import timm

    if not NAME.fullmatch(name) or not timm.is_model(name):
        return False
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # of an unknown tag
        return False
    return True


def build_model(
    arch: str,
    *,
    channels: int,
    num_classes: int,
    image_size: int,
    pretrained: bool = False,
    weights: Path | None = None,
) -> "nn.Module":
    """A timm network for `B x channels x image_size x image_size` float input and `num_classes` logits.

    With `pretrained`, ImageNet weights come from `weights` (.pth or .safetensors) or timm's hub; their colour filters
    are summed for gray input and position embeddings resized.

    Raises:
        InputError: the architecture is unknown, does not take the size, or the weights cannot be had.
    """
    import timm

    name = timm_name(arch)
    options: dict[str, Any] = {"in_chans": channels, "num_classes": num_classes}
    if timm.get_pretrained_cfg(name).fixed_input_size:
        options["img_size"] = image_size
    if pretrained:
        file = weights if weights is not None else _from_hub(name)
        if not file.is_file():
            raise InputError(f"no weights file {file}: give another WEIGHTS=, or start from nothing with PRETRAINED=0")
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file), "custom_load": False}}
    try:
        model: nn.Module = timm.create_model(name, **options)
        fits = not pretrained or _holds_weights_of(model, file)
    except Exception as error:
        if pretrained:
            raise InputError(f"the weights in {file} do not fit {name}: {_first_line(error)}") from error
        raise _of_other_size(name, image_size, error) from error
    if not fits:
        raise InputError(f"the weights in {file} do not fit {name}: most of its tensors are not there")
    try:
        _try_out(model, channels, image_size)
    except Exception as error:
        raise _of_other_size(name, image_size, error) from error
    return model


def _of_other_size(name: str, image_size: int, error: Exception) -> InputError:
    import timm

    own = timm.get_pretrained_cfg(name).input_size[-1]
    return InputError(
        f"{name} cannot be built for images of {image_size} px, it is made for IMAGE_SIZE={own}: {_first_line(error)}"
    )


def _try_out(model: "nn.Module", channels: int, image_size: int) -> None:
    """Give the network an image: some are built for any size, and fail at their first. Nothing is drawn or learnt."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model.eval()(torch.zeros(1, channels, image_size, image_size))
    model.train()


def _holds_weights_of(model: "nn.Module", file: Path) -> bool:
    """Whether most of the network's weights are the file's. timm loads what fits and only warns of all the rest.

    Tensors are known by their number of elements and their sum, whatever they are called in the file.
    """
    from timm.models import load_state_dict

    def known(tensor: Any) -> tuple[int, float]:
        return tensor.numel(), float(tensor.double().sum())

    stored = {known(tensor) for tensor in load_state_dict(str(file)).values()}
    weights = [tensor for tensor in model.state_dict().values() if tensor.ndim > 1]
    return sum(known(tensor) in stored for tensor in weights) > len(weights) / 2


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _from_hub(name: str) -> Path:
    """The file of a model's ImageNet weights, downloaded at first use. timm itself would retry for 47 s offline."""
    import timm
    from huggingface_hub import hf_hub_download

    repository = timm.get_pretrained_cfg(name).hf_hub_id
    if not repository:
        raise InputError(f"timm has no weights for {name}: give WEIGHTS=path, or start from nothing with PRETRAINED=0")
    try:
        return Path(hf_hub_download(repository, HUB_FILE, etag_timeout=HUB_TIMEOUT_S))
    except Exception as error:
        raise InputError(
            f"the ImageNet weights of {name} cannot be had from the hub ({type(error).__name__}): "
            "give WEIGHTS=path, or start from nothing with PRETRAINED=0"
        ) from error


def parameter_count(model: "nn.Module") -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def flops_per_image(arch: str, *, channels: int, num_classes: int, image_size: int) -> int:
    """Floating-point operations of the forward pass of one image; a multiplication and an addition are two.

    Counted by PyTorch (convolutions, matrix products, attention) on a network of its own, which is built on the CPU and
    thrown away; random state stays as it is. A ResNet-50 and 224 x 224 px give 8.2e9 and take less than a second.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = build_model(arch, channels=channels, num_classes=num_classes, image_size=image_size).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, channels, image_size, image_size))
    return int(counter.get_total_flops())
