"""MTCNN (Zhang et al. 2016): facenet-pytorch's networks and weights, in a cascade that works on whole batches.

facenet-pytorch cuts and resizes the candidates of a stage one at a time in Python, and searches every size of face
from 20 px up. Here a stage is one batch: an antialiased pyramid, `roi_align` for the candidates of all images, and
only the sizes that can be the face that is sought.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, roi_align

from fastfer.faces.detect import Faces

PYRAMID_FACTOR: Final = 0.709
THRESHOLDS: Final = (0.6, 0.7, 0.7)
"""Of the three networks, as facenet-pytorch has them; the pyramid's factor too."""
CELL_PX, STRIDE_PX = 12, 2
"""P-Net sees squares of 12 px, 2 px apart."""
CANDIDATES_AT_ONCE: Final = {"cpu": 128, "cuda": 4096}
"""Bounds the memory of the later networks; on a processor more at once are no faster."""


class Mtcnn:
    """A detector of faces."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._pnet, self._rnet, self._onet = (
            network().eval().to(self._device, memory_format=torch.channels_last) for network in (PNet, RNet, ONet)
        )

    @torch.inference_mode()
    def detect(self, img_BHWC: NDArray[np.uint8], *, face_range_px: tuple[float, float]) -> list[Faces]:
        """See `Detector.detect`."""
        img = torch.from_numpy(img_BHWC).to(self._device).permute(0, 3, 1, 2)
        img_BCHW = (img.float() - 127.5) / 128
        box_N4, image_N = self._proposed(img_BCHW, face_range_px)
        if len(box_N4):  # the networks' last layers take no empty batch
            box_N4, image_N = self._refined(img_BCHW, box_N4, image_N)
        if len(box_N4):
            return self._described(img_BCHW, box_N4, image_N)
        return [_faces(torch.empty(0, 16))] * len(img_BHWC)

    def _proposed(self, img_BCHW: Tensor, face_range_px: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """P-Net over the pyramid: candidate squares `N x 4` and the image of each."""
        scales = _scales(min(img_BCHW.shape[-2:]), face_range_px)
        found = [self._at_scale(img_BCHW, scale) for scale in scales]
        box_N4, score_N, image_N = (torch.cat(parts) for parts in zip(*found, strict=True))
        kept = batched_nms(box_N4, score_N, image_N, 0.7)
        return _squares(box_N4[kept]), image_N[kept]

    def _at_scale(self, img_BCHW: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        size = [int(side * scale + 1) for side in img_BCHW.shape[-2:]]
        offsets_B4HW, score_B2HW = self._pnet(F.interpolate(img_BCHW, size, mode="bilinear", antialias=True))
        image_N, y_N, x_N = (score_B2HW[:, 1] >= THRESHOLDS[0]).nonzero(as_tuple=True)
        score_N = score_B2HW[image_N, 1, y_N, x_N]
        corner_N2 = torch.stack([x_N, y_N], 1) * STRIDE_PX
        cell_N4 = torch.cat([corner_N2, corner_N2 + CELL_PX], 1) / scale
        kept = batched_nms(cell_N4, score_N, image_N, 0.5)
        box_N4 = _moved(cell_N4[kept], offsets_B4HW[image_N, :, y_N, x_N][kept])
        return box_N4, score_N[kept], image_N[kept]

    def _refined(self, img_BCHW: Tensor, box_N4: Tensor, image_N: Tensor) -> tuple[Tensor, Tensor]:
        """R-Net on every candidate: fewer and better squares."""
        offsets_N4, score_N2 = _in_parts(self._rnet, img_BCHW, box_N4, image_N, 24)
        kept = (score_N2[:, 1] > THRESHOLDS[1]).nonzero()[:, 0]
        kept = kept[batched_nms(box_N4[kept], score_N2[kept, 1], image_N[kept], 0.7)]
        return _squares(_moved(box_N4[kept], offsets_N4[kept])), image_N[kept]

    def _described(self, img_BCHW: Tensor, box_N4: Tensor, image_N: Tensor) -> list[Faces]:
        """O-Net: the faces, with their landmarks; the only place where results leave the device."""
        offsets_N4, points_N10, score_N2 = _in_parts(self._onet, img_BCHW, box_N4, image_N, 48)
        share_N25 = points_N10.view(-1, 2, 5)
        side_N2 = box_N4[:, 2:] - box_N4[:, :2]
        lmk_N52 = (box_N4[:, :2, None] + share_N25 * side_N2[:, :, None]).transpose(1, 2)
        table = torch.cat(
            [image_N[:, None].float(), score_N2[:, 1:], _moved(box_N4, offsets_N4), lmk_N52.flatten(1)], 1
        ).cpu()
        table = table[table[:, 1] > THRESHOLDS[2]]
        return [_faces(table[table[:, 0] == image]) for image in range(len(img_BCHW))]


def _scales(side_px: int, face_range_px: tuple[float, float]) -> list[float]:
    """From the smallest face sought to the largest, which is no larger than the image's shorter side."""
    low, high = face_range_px
    scale = CELL_PX / min(low, side_px)
    scales = [scale]
    while (scale := scale * PYRAMID_FACTOR) >= CELL_PX / min(high, side_px):
        scales.append(scale)
    return scales


def _in_parts(
    network: torch.nn.Module, img_BCHW: Tensor, box_N4: Tensor, image_N: Tensor, side_px: int
) -> list[Tensor]:
    """What a network says of the squares `box_N4`, each drawn `side_px` wide."""
    roi_N5 = torch.cat([image_N[:, None].to(box_N4), box_N4], 1)
    said = [
        network(
            roi_align(img_BCHW, part, side_px, sampling_ratio=2, aligned=True).contiguous(
                memory_format=torch.channels_last
            )
        )
        for part in torch.split(roi_N5, CANDIDATES_AT_ONCE[img_BCHW.device.type])
    ]
    return [torch.cat(parts) for parts in zip(*said, strict=True)]


def _moved(box_N4: Tensor, offsets_N4: Tensor) -> Tensor:
    """Boxes whose corners are moved by shares of their sides."""
    side_N2 = box_N4[:, 2:] - box_N4[:, :2]
    return box_N4 + offsets_N4 * side_N2.repeat(1, 2)


def _squares(box_N4: Tensor) -> Tensor:
    """The squares about the same centres, as wide as the longer side."""
    centre_N2 = (box_N4[:, :2] + box_N4[:, 2:]) / 2
    half_N1 = (box_N4[:, 2:] - box_N4[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([centre_N2 - half_N1, centre_N2 + half_N1], 1)


def _faces(table_NF: Tensor) -> Faces:
    """The faces of one image, best first; one that lies mostly within a better one goes (O-Net's rule)."""
    table_NF = table_NF[table_NF[:, 1].argsort(descending=True, stable=True)]
    box_N4 = table_NF[:, 2:6]
    area_N = (box_N4[:, 2:] - box_N4[:, :2]).prod(1)
    union = box_iou(box_N4, box_N4)
    shared_NN = union / (1 + union) * (area_N[:, None] + area_N[None, :])
    inside_NN = (shared_NN / torch.minimum(area_N[:, None], area_N[None, :])) > 0.7
    kept: list[int] = []
    for face in range(len(table_NF)):
        if not inside_NN[face, kept].any():
            kept.append(face)
    found = table_NF[kept].double().numpy()
    return Faces(found[:, 2:6], found[:, 1], found[:, 6:].reshape(-1, 5, 2))
