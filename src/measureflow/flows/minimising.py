r"""Minimising movements: the implicit scheme of the energy in the metric of the mobility, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.fields import SelfAttention
from measureflow.flows.actions import Action, descended
from measureflow.flows.geodesics import as_form, path_of
from measureflow.measures import Tokens
from measureflow.paths import Path, Recipe
from measureflow.spaces import Sphere, is_traced

__all__ = ["minimising_movements"]


def minimising_movements(
    tokens: Tokens, form: Any, *, step: float, until: float, states: int = 3, tolerance: float = 1e-10
) -> Path:
    r"""Move tokens by minimising movements (the JKO scheme) in the metric with mobility $\mu/Z_\mu$.

    $$ \mu_{k+1} \in \arg\min_\nu\; E(\nu) + \frac{1}{2\tau} W_m(\mu_k, \nu)^2, \qquad
       E(\mu) = \tfrac12 \iint e^{x\cdot Dy}\, d\mu\, d\mu $$

    The distance is that of the configuration, by a short path of its own whose states are minimised together with the
    end, so that a step is one smooth problem. The energy falls at every step by at least $W_m^2/2\tau$, however large
    tau is; as it shrinks the path tends, at first order, to the softmax flow with form D and `V = -D`. Masses stay.

    Main arguments:
        tokens: on a sphere.
        form: `(d, d)` symmetric matrix D, or a number for a multiple of the identity.
        step: tau. until: the last time, a whole number of steps.

    Other arguments:
        states: along the path of one step, both ends included.
        tolerance: residual at which the minimisation of a step ends.

    Raises:
        BadInput: the form is not symmetric, no tokens on a sphere (of a density take `density.quantiles(n)`), a step
            that is not positive, or an end that is no whole number of steps.

    Source: Jordan, Kinderlehrer and Otto (SIAM J. Math. Anal. 29, 1998), in the metric of
        [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import numpy as np
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=6, seed=0)
        >>> path = mf.minimising_movements(tokens, np.diag([1.0, 0.5, -1.0]), step=0.1, until=0.5)
        >>> bool((np.diff(path.energy) < 0).all()), path.stats["least_decrease"] > 0
        (True, True)
    """
    if not isinstance(tokens, Tokens) or not isinstance(tokens.space, Sphere):
        what = f"{type(tokens).__name__} on {getattr(tokens, 'space', 'no space')!r}"
        raise BadInput(f"minimising_movements: {what}; give tokens on a sphere (of a density, density.quantiles(n)).")
    if is_traced(tokens) or tokens.batch:
        raise BadInput("minimising_movements: the tokens are traced or batched; give one known set of them.")
    form = as_form("minimising_movements", form, tokens.d)
    if not (np.isfinite(step) and step > 0):
        raise BadInput(f"minimising_movements: step is {step!r}; it is a finite time > 0.")
    count = round(until / step) if np.isfinite(until) and until > 0 else 0
    if count < 1 or abs(count * step - until) > 1e-9 * until:
        raise BadInput(f"minimising_movements: until is {until!r}; it is a whole number of steps of {step:g}.")
    if isinstance(states, bool) or not isinstance(states, (int, np.integer)) or states < 2:
        raise BadInput(f"minimising_movements: states is {states!r}; a path has at least its 2 ends.")
    # tokens without mass are seen by nobody and have no metric: they stay
    own = np.flatnonzero(np.asarray(tokens.weights) > 0)
    weights = np.asarray(tokens.weights, float)[own]
    action = Action(form, weights / weights.sum(), step)
    points = np.asarray(tokens.points, float)
    kept, residuals, decreases = [points], [], []
    for _ in range(count):
        x = points[own]
        at = descended(action, predicted(action, x, states), tolerance=tolerance)
        residuals.append(at.residual)
        decreases.append(float(action.energy(x)) - action.value(at.states))
        points = points.copy()
        points[own] = at.states[-1]
        kept.append(points)
    recipe = Recipe.of("minimising_movements", tokens=tokens, form=form, step=step, until=until, states=states)
    field = SelfAttention(1.0, query=form, value=-form)
    stats = {"accepted": count, "residual": max(residuals), "least_decrease": min(decreases)}
    return path_of(tokens, np.array(kept), step * np.arange(count + 1), recipe, field=field, **stats)


def predicted(action: Action, x: np.ndarray, states: int) -> np.ndarray:
    """Return a first path of a step: along the velocity of the flow where that lowers the functional, else at rest."""
    assert action.step is not None
    rest = np.repeat(x[None], states, 0)
    kernel = action.kernel(x) * action.masses
    velocity = -(kernel @ x @ action.form) / kernel.sum(axis=1, keepdims=True)
    velocity -= (velocity * x).sum(axis=1, keepdims=True) * x
    moved = rest + action.step * np.linspace(0.0, 1.0, states)[:, None, None] * velocity
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return moved if action.value(moved) < action.value(rest) else rest
