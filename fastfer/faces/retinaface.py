"""RetinaFace (Deng et al. 2020): retinaface-pytorch's network (ResNet-50), called on whole batches.

The package's own call takes one image and searches it in steps that the processor waits for. Here boxes of all images
of a batch are decoded and thinned at once, and leave the device together.
"""

import warnings
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from retinaface.network import RetinaFace as Network
from retinaface.prior_box import priorbox
from torch import Tensor
from torchvision.ops import batched_nms

from fastfer.faces.detect import Faces
from fastfer.faces.weights import load_weights

ANCHORS_PX: Final = ((16, 32), (64, 128), (256, 512))
STEPS_PX: Final = (8, 16, 32)
VARIANCE: Final = (0.1, 0.2)
CONFIDENCE, NMS_IOU = 0.7, 0.4
"""The package's settings, all of them."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, by which albumentations' `Normalize` goes."""
PIXELS_AT_ONCE: Final = 8_000_000
"""Bounds the memory of the network: 217 regions of 192 px, 19 scenes of 640 px."""


class RetinaFace:
    """A detector of faces; `confidence` is the least score of a face.

    Raises:
        InputError: the weights are not RetinaFace's.
    """

    def __init__(self, device: str, weights: Path, *, confidence: float = CONFIDENCE) -> None:
        self._device = torch.device(device)
        self._confidence = confidence
        network = make_network()
        load_weights(network, weights)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, img_BHWC: NDArray[np.uint8], *, face_range_px: tuple[float, float]) -> list[Faces]:  # noqa: ARG002
        """See `Detector.detect`; the network looks for all sizes at once, so the range saves nothing."""
        at_once = max(1, PIXELS_AT_ONCE // (img_BHWC.shape[1] * img_BHWC.shape[2]))
        parts = torch.split(torch.from_numpy(img_BHWC), at_once)
        return [faces for part in parts for faces in self._in_batch(part)]

    def _in_batch(self, img_BHWC: Tensor) -> list[Faces]:
        height, width = img_BHWC.shape[1:3]
        mean_C, std_C = (torch.tensor(values, device=self._device) * 255 for values in (MEAN, STD))
        img_BCHW = ((img_BHWC.to(self._device) - mean_C) / std_C).permute(0, 3, 1, 2)  # channels last in memory
        offset_BA4, logit_BA2, point_BA10 = self._network(img_BCHW)
        score_BA = logit_BA2.softmax(dim=-1)[..., 1]
        image_N, anchor_N = (score_BA > self._confidence).nonzero(as_tuple=True)
        anchor_N4 = _anchors(height, width).to(self._device)[anchor_N]
        centre_N2, side_N2 = anchor_N4[:, :2], anchor_N4[:, 2:]
        box_N4 = _boxes(centre_N2, side_N2, offset_BA4[image_N, anchor_N])
        step_N52 = point_BA10[image_N, anchor_N].view(-1, 5, 2) * VARIANCE[0]
        lmk_N52 = centre_N2[:, None] + step_N52 * side_N2[:, None]
        score_N = score_BA[image_N, anchor_N]
        size = torch.tensor([width, height], device=self._device, dtype=torch.float32)
        box_N4, lmk_N52 = box_N4 * size.repeat(2), lmk_N52 * size
        kept = batched_nms(box_N4, score_N, image_N, NMS_IOU)
        kept = kept[(box_N4[kept, :2] < size - 1).all(dim=1)]  # what begins beyond the image is no face
        table = torch.cat([image_N[:, None].float(), score_N[:, None], box_N4, lmk_N52.flatten(1)], 1)[kept]
        table_NF = table.double().cpu().numpy()
        return [_faces(table_NF[table_NF[:, 0] == image]) for image in range(len(img_BHWC))]


def make_network() -> torch.nn.Module:
    """The package's network as its release was trained, without weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, of an argument that the package passes
        network: torch.nn.Module = Network(
            name="Resnet50",
            pretrained=False,
            return_layers={"layer2": 1, "layer3": 2, "layer4": 3},
            in_channels=256,
            out_channels=256,
        )
    return network


@cache
def _anchors(height: int, width: int) -> Tensor:
    """Centre and size of every anchor (`A x 4`), as shares of the image."""
    anchors: Tensor = priorbox([list(sides) for sides in ANCHORS_PX], list(STEPS_PX), False, (height, width))
    return anchors


def _boxes(centre_N2: Tensor, side_N2: Tensor, offset_N4: Tensor) -> Tensor:
    """Anchors moved and resized by what the network says (SSD's encoding): xyxy."""
    middle_N2 = centre_N2 + offset_N4[:, :2] * VARIANCE[0] * side_N2
    half_N2 = side_N2 * torch.exp(offset_N4[:, 2:] * VARIANCE[1]) / 2
    return torch.cat([middle_N2 - half_N2, middle_N2 + half_N2], dim=1)


def _faces(table_NF: NDArray[np.float64]) -> Faces:
    return Faces(table_NF[:, 2:6], table_NF[:, 1], table_NF[:, 6:].reshape(-1, 5, 2))
