r"""Clusters on the circle in which a positive form lets finitely many tokens rest: heavy ones, held by single tokens.

Under repulsion, V = -D with D > 0, tokens would spread to the measure of least energy. A cluster of two tokens or more
is stable within iff the potential $Z_\mu(x) = \int e^{x\cdot Dy}d\mu(y)$ has a minimum there; one token needs nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_masses, as_numbers, in_interval
from measureflow.theory.form_rates import FormRates, as_sign

__all__ = ["angle_of_counterweights", "rates_of_clusters"]

#: how far from rest clusters may be
AT_REST = 1e-8


def rates_of_clusters(points: Any, masses: Any, *, form: Any, sign: int = -1) -> FormRates:
    r"""Return the rates about any clusters at rest on the circle, with V = ±D.

    $$ \text{within cluster c: } \pm\frac{Z''(x_c)}{Z(x_c)}, \qquad \text{between: eigenvalues of }
       \pm\frac1{Z(x_c)}\bigl[\delta_{cc'}Z''(x_c) + w_{c'}\,\partial_\theta\partial_\phi e^{x_c\cdot Dx_{c'}}\bigr] $$

    with second derivatives along the circle. For $D = \kappa\,\mathrm{Id}$ and repulsion not all rates within are
    negative: $\sum_c w_c Z''(x_c) = -\sum_m m^2 I_m(\kappa)\,|\hat\mu_m|^2 < 0$, so at least one cluster is a single
    token or falls apart; at the corners of a k-gon at a rate of about $2k^2I_k(\kappa)/I_0(\kappa)$, which is soon too
    slow to be seen. Derived for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        points: `(c, 2)` unit vectors, the clusters. masses: `(c,)`. form: D, symmetric. sign: 1 or -1.

    Raises:
        BadInput: clusters that are not at rest, a form that is not symmetric, a sign that is neither 1 nor -1.

    Example:
        >>> from measureflow import theory
        >>> ends, form = [[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [0.0, 0.5]]
        >>> pair = theory.rates_of_clusters(ends, [0.5, 0.5], form=form, sign=1)
        >>> pair.stable, pair.within.round(6).tolist()  # -tanh 1
        (True, [-0.761594, -0.761594])
    """
    x, form, sign = as_numbers("points", points), as_numbers("form", form), as_sign(sign)
    if x.ndim != 2 or x.shape[1] != 2 or form.shape != (2, 2) or not np.allclose(form, form.T, rtol=0, atol=1e-12):
        raise BadInput(f"theory: points {x.shape} and a form {form.shape}; give (c, 2) and a symmetric (2, 2).")
    masses, aside = as_masses(masses, len(x)), np.stack([-x[:, 1], x[:, 0]], axis=1)
    logits, turned = x @ form @ x.T, aside @ form @ x.T
    kernel = np.exp(logits)
    potential = kernel @ masses
    speed = float(np.abs((turned * kernel) @ masses / potential).max())
    if speed > AT_REST:
        raise BadInput(f"theory: the clusters move at speed {speed:.2g}; rates are those about clusters at rest.")
    second = (kernel * (turned**2 - logits)) @ masses
    mixed = kernel * (aside @ form @ aside.T + turned * turned.T)
    between = np.linalg.eigvals((np.diag(second) + mixed * masses) / potential[:, None]).real
    return FormRates(sign * second / potential, np.sort(sign * between)[None])


def angle_of_counterweights(eigenvalues: Any, masses: Any, n: int) -> float:
    r"""Return the angle from the first axis at which two single tokens rest beside two heavy clusters at its ends.

    For $D = \mathrm{diag}(a, b)$, $0 < a < b$, V = -D, clusters of masses p at $e_1$ and q at $-e_1$, and one token of
    mass $w = 1/n$ at each of $(\cos\theta, \pm\sin\theta)$, with $c = \cos\theta$, $s = \sin\theta$:

    $$ a\,(p\,e^{ac} - q\,e^{-ac}) = w\,c\,\bigl[(b-a)\,e^{ac^2+bs^2} - (a+b)\,e^{ac^2-bs^2}\bigr] $$

    The single tokens push the potential up beside a cluster, $Z''(e_1) = -a(p e^a - q e^{-a}) + 2w(b^2s^2 - ac)e^{ac}$,
    so that such clusters hold together although D > 0: a true limit of finitely many tokens, above the least
    energy. As n grows it needs a of order b/n. Derived for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        eigenvalues: a and b. masses: p and q, with p + q + 2/n = 1. n: number of tokens.

    Raises:
        BadInput: eigenvalues out of order, masses that do not sum to 1 - 2/n, or no such angle.

    Example:
        >>> import math
        >>> from measureflow import theory
        >>> round(math.degrees(theory.angle_of_counterweights([0.25, 2.0], [4 / 8, 2 / 8], 8)), 1)
        23.4
    """
    from scipy.optimize import root_scalar  # imported when used: it is slow to import

    eigenvalues, masses = as_numbers("eigenvalues", eigenvalues), as_numbers("masses", masses)
    if eigenvalues.shape != (2,) or masses.shape != (2,):
        raise BadInput(f"theory: eigenvalues {eigenvalues.shape} and masses {masses.shape}; give two of each.")
    a = in_interval("the first eigenvalue", eigenvalues[0], 0.0, math.inf)
    b = in_interval("the second eigenvalue", eigenvalues[1], a, math.inf)
    w = 1.0 / as_count("n", n, 4)
    p, q = (in_interval("a mass", mass, 0.0, 1.0) for mass in masses)
    if abs(p + q + 2 * w - 1.0) > 1e-12:
        raise BadInput(f"theory: the masses sum to {p + q:.6g}; two heavy clusters leave 2/n: {1 - 2 * w:.6g}.")

    def pull(theta: float) -> float:
        c, s = math.cos(theta), math.sin(theta)
        own = (b - a) * math.exp(a * c * c + b * s * s) - (a + b) * math.exp(a * c * c - b * s * s)
        return w * c * own - a * (p * math.exp(a * c) - q * math.exp(-a * c))

    grid = np.linspace(1e-3, 0.5 * math.pi, 400)
    values = np.array([pull(theta) for theta in grid])
    rising = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    if not len(rising):
        raise BadInput(f"theory: no two single tokens hold such clusters for eigenvalues {a:g}, {b:g} and n = {n}.")
    found = root_scalar(pull, bracket=(grid[rising[0]], grid[rising[0] + 1]), method="brentq", xtol=1e-15)
    return float(found.root)
