"""Four tokens on the circle under repulsion: the rectangle of least energy."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import in_interval

__all__ = ["Rectangle", "rectangle_of_four_tokens"]


@dataclasses.dataclass(frozen=True)
class Rectangle:
    """Four tokens at `(±cos, ±sin)`.

    Attributes:
        angle: of the token in the first quadrant; energy: $E_2$ of the four.
        points: the tokens, counter-clockwise.
    """

    angle: float
    energy: float
    points: Float[np.ndarray, "4 2"]


def rectangle_of_four_tokens(ratio: float) -> Rectangle:
    r"""Return the rectangle `(±c, ±s)` at which four tokens rest under D = diag(1, ratio), V = -D, in SA and in USA.

    $$ \frac{\tanh c^2}{\tanh(\rho s^2)} = \rho, \qquad c^2 + s^2 = 1, \qquad E_2 = \cosh(c^2)\cosh(\rho s^2) $$

    The least of that energy, always between the axes; the angle is right to rounding. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: a ratio that is not positive, or above 700.

    Example:
        >>> from measureflow import theory
        >>> found = theory.rectangle_of_four_tokens(2.0)
        >>> round(found.angle, 6), round(found.energy, 6)
        (0.433224, 1.444211)
    """
    from scipy.optimize import root_scalar

    ratio = in_interval("ratio", ratio, 0.0, 700.0)

    def pull(angle: float) -> float:
        c, s = math.cos(angle), math.sin(angle)
        return math.tanh(c * c) - ratio * math.tanh(ratio * s * s)

    angle = float(root_scalar(pull, bracket=(0.0, 0.5 * math.pi), xtol=1e-15).root)
    c, s = math.cos(angle), math.sin(angle)
    points = np.array([[c, s], [-c, s], [-c, -s], [c, -s]])
    return Rectangle(angle, math.cosh(c * c) * math.cosh(ratio * s * s), points)
