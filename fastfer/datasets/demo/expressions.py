"""Seven expressions as tables: smooth displacements and shadows around the landmarks of a neutral face.

Everything is in the face frame (origin between the eyes, y down, unit the eye distance). A displacement field is a sum
of Gaussians `Bump(anchor, offset, sigma, shift)`, centred where a part of the face goes to, not where it comes from;
`Paint` darkens what no displacement can make: an open mouth, a furrow. The tables give one side of the face: x points
outwards, and what is beside the middle is mirrored. Which muscles move follows
the action units of Ekman and Friesen's FACS (happiness 6+12, sadness 1+4+15, surprise 1+2+5+26, fear 1+2+4+5+20, anger
4+5+7+23, disgust 9+10+16); how far was tuned by eye and by whether a small network can tell them apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastfer.datasets.demo.portraits import Points, Portrait

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bump:
    """One Gaussian of a displacement field."""

    anchor: str
    offset: Pair  # from the anchor to the Gaussian's centre
    sigma: Pair
    shift: Pair  # displacement at the centre


@dataclass(frozen=True, slots=True)
class Paint:
    """A shaded ellipse: soft as a Gaussian with hardness 1, flat with a sharp edge from 3 on."""

    anchor: str
    offset: Pair
    radius: Pair
    strength: float  # opacity at the centre, 0..1
    hardness: float = 1.0
    rgb: tuple[int, int, int] = (85, 40, 30)


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression does to a neutral face at intensity 1."""

    bumps: tuple[Bump, ...] = ()
    paints: tuple[Paint, ...] = ()
    shows_teeth: bool = False  # of a portrait that has them to show


EYE_ANCHORS: Final[dict[str, Pair]] = {
    "eye": (0.5, 0.0),
    "brow": (0.52, -0.27),
    "brow_inner": (0.27, -0.24),
    "brow_outer": (0.8, -0.25),
    "brow_middle": (0.0, -0.2),
}
"""Anchors that have the same place in every face frame; `_anchors` adds those that follow the other landmarks."""

MOUTH_INSIDE = (50, 14, 14)

EXPRESSIONS: Final[dict[str, Expression]] = {
    "anger": Expression(
        bumps=(
            Bump("brow_inner", (0, 0), (0.20, 0.14), (-0.11, 0.19)),
            Bump("brow_outer", (0, 0), (0.20, 0.14), (0.02, -0.09)),
            Bump("eye", (0, -0.09), (0.20, 0.06), (0, 0.03)),
            Bump("eye", (0, 0.12), (0.22, 0.08), (0, -0.05)),
            Bump("mouth_corner", (0, 0), (0.20, 0.16), (-0.15, 0.05)),
            Bump("mouth", (0, 0.16), (0.30, 0.10), (0, -0.07)),
        ),
        paints=(
            Paint("brow_middle", (0.10, 0.03), (0.035, 0.15), 0.55),
            Paint("brow_inner", (0, 0.12), (0.16, 0.06), 0.35),
        ),
    ),
    "disgust": Expression(
        bumps=(
            Bump("nose", (0, 0), (0.26, 0.20), (0, -0.14)),
            Bump("nose", (0.2, 0), (0.12, 0.14), (0.05, -0.08)),
            Bump("mouth", (0.12, -0.12), (0.15, 0.13), (0, -0.12)),
            Bump("mouth", (0, 0.16), (0.26, 0.10), (0, 0.08)),
            Bump("mouth_corner", (0, 0), (0.18, 0.16), (0.02, 0.10)),
            Bump("brow", (0, 0), (0.40, 0.14), (-0.02, 0.10)),
            Bump("eye", (0, 0.14), (0.22, 0.08), (0, -0.08)),
        ),
        paints=(
            Paint("mouth", (0, 0.05), (0.24, 0.025), 0.6, 2.0, MOUTH_INSIDE),
            Paint("nose", (0.33, 0.08), (0.06, 0.18), 0.45),
            Paint("nose", (0, -0.42), (0.16, 0.03), 0.4),
        ),
    ),
    "fear": Expression(
        bumps=(
            Bump("brow_inner", (0, -0.15), (0.22, 0.15), (-0.07, -0.20)),
            Bump("brow_outer", (0, -0.02), (0.22, 0.15), (0, -0.02)),
            Bump("eye", (0, -0.10), (0.20, 0.10), (0, -0.02)),
            Bump("eye", (0, 0.12), (0.20, 0.10), (0, 0.025)),
            Bump("mouth_corner", (0, 0), (0.22, 0.18), (0.17, 0.07)),
            Bump("mouth", (0, -0.10), (0.30, 0.09), (0, -0.04)),
            Bump("mouth", (0, 0.14), (0.34, 0.12), (0, 0.12)),
            Bump("chin", (0, 0), (0.60, 0.30), (0, 0.08)),
        ),
        paints=(Paint("mouth", (0, 0.04), (0.33, 0.075), 0.9, 4.0, MOUTH_INSIDE),),
    ),
    "happiness": Expression(
        bumps=(
            Bump("mouth_corner", (0.06, -0.06), (0.22, 0.20), (0.16, -0.21)),
            Bump("mouth", (0, 0.12), (0.30, 0.14), (0, 0.10)),
            Bump("eye", (0.04, 0.50), (0.24, 0.18), (0.03, -0.08)),
            Bump("eye", (0, 0.13), (0.22, 0.08), (0, -0.06)),
        ),
        paints=(Paint("mouth_corner", (0.16, -0.26), (0.045, 0.16), 0.4),),
        shows_teeth=True,
    ),
    "sadness": Expression(
        bumps=(
            Bump("brow_inner", (0, -0.08), (0.20, 0.14), (-0.06, -0.16)),
            Bump("brow_outer", (0, 0), (0.22, 0.16), (0, 0.11)),
            Bump("eye", (0.1, -0.10), (0.20, 0.07), (0, 0.05)),
            Bump("mouth_corner", (0.02, 0.10), (0.20, 0.18), (0.02, 0.20)),
            Bump("mouth", (0, 0.16), (0.26, 0.10), (0, -0.09)),
        ),
        paints=(Paint("mouth", (0, 0.24), (0.22, 0.05), 0.4), Paint("mouth_corner", (0.08, 0.26), (0.05, 0.10), 0.3)),
    ),
    "surprise": Expression(
        bumps=(
            Bump("brow", (0, -0.18), (0.42, 0.15), (0, -0.22)),
            Bump("eye", (0, -0.10), (0.20, 0.08), (0, -0.025)),
            Bump("eye", (0, 0.12), (0.20, 0.10), (0, 0.02)),
            Bump("mouth_corner", (0, 0.10), (0.20, 0.22), (-0.12, 0.06)),
            Bump("mouth", (0, -0.10), (0.28, 0.09), (0, -0.07)),
            Bump("mouth", (0, 0.30), (0.34, 0.20), (0, 0.30)),
            Bump("chin", (0, 0.1), (0.70, 0.40), (0, 0.20)),
        ),
        paints=(Paint("mouth", (0, 0.20), (0.22, 0.18), 0.95, 5.0, MOUTH_INSIDE),),
    ),
    "neutral": Expression(),
}
"""Each class's changes to a neutral face."""

SMILE_AWAY = Expression(
    bumps=(
        Bump("mouth_corner", (0, 0), (0.20, 0.18), (-0.07, 0.12)),
        Bump("mouth", (0, -0.07), (0.30, 0.08), (0, 0.045)),
        Bump("mouth", (0, 0.20), (0.30, 0.10), (0, -0.10)),
    ),
    paints=(Paint("mouth", (0, 0.03), (0.34, 0.045), 0.75, 2.0, (150, 80, 75)),),
)
"""Closes a toothy smile and draws lips over it; added to every expression of a portrait that smiles."""

BROAD: Final = (0.65, 0.65)
IDENTITY: Final = (
    Bump("brow_middle", (0, -0.5), BROAD, (0, 0)),
    Bump("eye", (0, 0), BROAD, (0, 0)),
    Bump("eye", (0.5, 0.4), BROAD, (0, 0)),
    Bump("nose", (0, 0), BROAD, (0, 0)),
    Bump("mouth_corner", (0.3, 0.1), BROAD, (0, 0)),
    Bump("mouth", (0, 0), BROAD, (0, 0)),
    Bump("chin", (0, 0), BROAD, (0, 0)),
    Bump("chin", (0.6, -0.1), BROAD, (0, 0)),
)
"""Where broad bumps of random shift give a face its own shape, whatever its expression."""

IDENTITY_SHIFT = 0.05  # standard deviation of those shifts
INTENSITY_RANGE = (0.75, 1.25)
BUMP_JITTER = 0.12  # each bump's own relative spread, so that faces of one class move differently


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mimic:
    """One face's expression and shape, as arrays: K Gaussians that move it and M ellipses that shade it."""

    centre_K2: Points
    sigma_K2: Points
    shift_K2: Points
    shade_M5: NDArray[np.float64]  # centre, radii, hardness
    strength_M: NDArray[np.float64]
    rgb_M3: NDArray[np.float64]

    def pull(self, points_N2: Points) -> Points:
        """Where in the portrait each point of the changed face comes from; face frame, N x 2 in and out."""
        x_NK = (points_N2[:, :1] - self.centre_K2[:, 0]) / self.sigma_K2[:, 0]
        y_NK = (points_N2[:, 1:] - self.centre_K2[:, 1]) / self.sigma_K2[:, 1]
        return np.asarray(points_N2 - np.exp(-0.5 * (x_NK * x_NK + y_NK * y_NK)) @ self.shift_K2)

    def push(self, points_N2: Points) -> Points:
        """Where each point of the portrait goes: the inverse of `pull`, by damped fixed-point steps."""
        moved_N2 = points_N2
        for _ in range(30):  # the error about halves in each
            moved_N2 = moved_N2 + 0.5 * (points_N2 - self.pull(moved_N2))
        return moved_N2


def mimic(portrait: Portrait, expression: str, rng: np.random.Generator) -> Mimic:
    """Draw one face: the expression at a random intensity on a randomly changed face shape."""
    anchors, intensity = _anchors(portrait), rng.uniform(*INTENSITY_RANGE)
    wanted, smile = EXPRESSIONS[expression], portrait.measured.smile
    rows: list[tuple[float, ...]] = []
    for bumps, amount in ((wanted.bumps, intensity), (SMILE_AWAY.bumps, smile)):
        for bump in bumps:
            own = amount * rng.uniform(1 - BUMP_JITTER, 1 + BUMP_JITTER)
            for x, y, side in _places(anchors, bump):
                rows.append((x, y, *bump.sigma, own * side * bump.shift[0], own * bump.shift[1]))
    for bump in IDENTITY:
        for x, y, _ in _places(anchors, bump):
            rows.append((x, y, *bump.sigma, *rng.normal(0, IDENTITY_SHIFT, 2)))

    shades = [
        (x, y, *paint.radius, paint.hardness, min(1.0, amount * paint.strength), *paint.rgb)
        for paints, amount in ((SMILE_AWAY.paints, smile * (not wanted.shows_teeth)), (wanted.paints, intensity))
        for paint in paints
        for x, y, _ in _places(anchors, paint)
    ]
    bumps_K6, shades_M9 = np.array(rows), np.array(shades).reshape(-1, 9)
    return Mimic(
        centre_K2=bumps_K6[:, :2],
        sigma_K2=bumps_K6[:, 2:4],
        shift_K2=bumps_K6[:, 4:],
        shade_M5=shades_M9[:, :5],
        strength_M=shades_M9[:, 5],
        rgb_M3=shades_M9[:, 6:],
    )


def _anchors(portrait: Portrait) -> dict[str, tuple[Pair, Pair]]:
    """Each anchor's left and right place in the image; the same place twice for those in the middle."""
    nose, mouth = _pair(portrait.lmk_P2[2]), _pair(portrait.lips_2)
    corners = (float(portrait.lmk_P2[3, 0]), mouth[1]), (float(portrait.lmk_P2[4, 0]), mouth[1])
    chin = (mouth[0], float(portrait.box_edges_42[3, 1]))
    of_eyes = {name: ((-x, y), (x, y)) for name, (x, y) in EYE_ANCHORS.items()}
    return of_eyes | {"nose": (nose, nose), "mouth": (mouth, mouth), "mouth_corner": corners, "chin": (chin, chin)}


def _places(anchors: dict[str, tuple[Pair, Pair]], at: Bump | Paint) -> list[tuple[float, float, int]]:
    """Centres on both sides (with -1 for the left, 1 for the right), or the one centre of what lies in the middle."""
    left, right = anchors[at.anchor]
    if left == right and at.offset[0] == 0:
        return [(left[0], left[1] + at.offset[1], 0)]
    return [(x + side * at.offset[0], y + at.offset[1], side) for (x, y), side in ((left, -1), (right, 1))]


def _pair(point_2: Points) -> Pair:
    return float(point_2[0]), float(point_2[1])
