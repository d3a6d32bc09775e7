"""What a hypercube of memories looks like on three principal components: a cube, a cuboid, a hexagonal prism?

Corners of b bits are c + sum s_i a_i with signs s and axes a_i. On three components the four axes of a tesseract
become linearly dependent, sum v_i p_i = 0, and v (unit length) decides the shape up to an affine map. What is looked
along, and so lost, is the direction v: Coxeter (1973), chapter 13.

One axis, v = (1, 0, 0, 0), vanishes: cell-first, two cubes on top of each other. Two axes, (1, 1, 0, 0) / sqrt 2, fall
together: face-first, a cuboid with points within. Three axes, (1, 1, 1, 0) / sqrt 3, lie in a plane and add up to
nothing: edge-first, a hexagonal prism. All four: vertex-first, a rhombic dodecahedron. Signs of v are those of bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsys.io.text import sentence
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

SHOWN = 3  # components
SHAPES = {
    1: "cell-first, a cube of pairs",
    2: "face-first, a cuboid",
    3: "edge-first, a hexagonal prism",
    4: "vertex-first, a rhombic dodecahedron",
}
NEAR = 10.0  # degrees from one of these, within which it gives the shape its name; they lie 30 or more apart
ALIKE = 0.9  # of the third singular value, above which the fourth might as well be the one that is shown


@dataclass(frozen=True)
class Shape:
    """How b axes are seen on the first three principal components of the memories.

    ``singular_values`` (b,) of the axes, over their sum of squares' root; ``kept`` (b,) the share of each axis' length
    that is seen. Of four bits: ``lost`` (4,) the direction v, ``weight`` 1 / sum v_i^4 (1, 2, 3, 4 for the four
    shapes), ``nearest`` the number of axes of the nearest shape, ``angle`` the degrees from it, and ``ratio`` the
    fourth singular value over the third (near 1 it is chance which of the two is left out). None for other b.
    """

    singular_values: tuple[float, ...]
    kept: tuple[float, ...]
    lost: tuple[float, ...] | None
    weight: float | None
    nearest: int | None
    angle: float | None
    ratio: float | None

    @property
    def name(self) -> str | None:
        """Which of the four, or that it is none of them; None of other than four bits."""
        return self.nearest_name if self.is_near or self.nearest is None else "none of the four"

    @property
    def by_chance(self) -> bool:
        """Whether the component that is left out is hardly told from the last that is shown."""
        return self.ratio is not None and self.ratio > ALIKE

    @property
    def is_near(self) -> bool:
        """Whether one of the four is within ``NEAR`` degrees."""
        return self.angle is not None and self.angle <= NEAR

    @property
    def nearest_name(self) -> str | None:
        return None if self.nearest is None else SHAPES[self.nearest]

    @property
    def shown(self) -> int:
        """How many components."""
        return SHOWN

    @property
    def word(self) -> str:
        """What the numbers say, in a phrase."""
        return sentence("dynsys.analyses.transfer", "seen", self)


def projected_shape(states: Array, axes: Array) -> Shape:
    """Of memories (k, n) and their bit axes (b, n), on the principal components of the memories."""
    shown = Projection.fit(states, SHOWN).directions(axes)  # (b, 3)
    values = np.linalg.svd(axes, compute_uv=False)
    kept = np.linalg.norm(shown, axis=1) / np.linalg.norm(axes, axis=1)
    plain = (tuple((values / np.linalg.norm(values)).tolist()), tuple(kept.tolist()))
    if len(axes) != SHOWN + 1:
        return Shape(*plain, None, None, None, None, None)
    lost = np.linalg.svd(shown.T)[2][-1]
    lost *= np.sign(lost[np.argmax(np.abs(lost))])
    size = np.sort(np.abs(lost))[::-1]
    cosines = [float(size[:count].sum() / np.sqrt(count)) for count in SHAPES]
    nearest = int(np.argmax(cosines)) + 1
    angle = float(np.degrees(np.arccos(min(max(cosines), 1.0))))
    return Shape(
        *plain,
        tuple(lost.tolist()),
        float(1 / (lost**4).sum()),
        nearest,
        angle,
        float(values[SHOWN] / values[SHOWN - 1]),
    )
