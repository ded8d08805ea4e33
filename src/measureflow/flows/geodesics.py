r"""Geodesics between measures on a sphere in the metric with non-local mobility `mu/Z_mu`, of which attention with a
symmetric form is the gradient flow."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.flows.actions import Action, Descent, descended
from measureflow.flows.couplings import Coupling, couplings
from measureflow.flows.stretched import bounds_of_distance
from measureflow.measures import Density, Tokens
from measureflow.paths import STATUSES, Merges, Path, Recipe
from measureflow.spaces import Sphere, is_traced

__all__ = ["Geodesic", "Start", "as_form", "path_of", "wasserstein_m"]

#: largest entry of a form: its exponential must be a double, and so must squares of it
LARGEST = 300.0
#: numbers in the kernels of all states
MEMORY = 25_000_000


class Start(NamedTuple):
    """One start of the search.

    Attributes:
        offset: on the circle, the share of a turn by which the quantiles of the second measure are ahead; NaN
            elsewhere.
        straight: length of the path on which every token moves at constant speed along its arc.
        distance, residual: of the critical path that was reached from there; NaN where none was looked for.
    """

    offset: float
    straight: float
    distance: float = float("nan")
    residual: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Geodesic:
    r"""What was found between two measures: a critical path of the action, the shortest of those looked at.

    The action is not jointly convex, so nothing says that no other path is shorter; `lower` is what every path needs.

    Attributes:
        path: tokens at equal steps of time from 0 to 1.
        distance: length of the smooth curve through the states.
        error: its difference from the length at second order in the step of time: an upper estimate of what the steps
            cost.
        residual: defect of the Euler-Lagrange equations at the states, in units of the speed; with a free offset of the
            quantiles that of its own equation is included.
        lower, upper: between which the distance lies: $W_2$ of tokens on the circle with the length element
            $e^{\mp|Dx|/2}ds$, and elsewhere $e^{\mp\|D\|/2} W_2$.
        minimum: whether the second variation at the states is positive.
        starts: what was tried, by offset.
        speeds: speed on each interval: constant along a geodesic, up to the square of the step.
    """

    path: Path
    distance: float
    error: float
    residual: float
    lower: float
    upper: float
    minimum: bool
    starts: tuple[Start, ...]
    speeds: Float[np.ndarray, "r"]

    def __repr__(self) -> str:
        tried = sum(np.isfinite(start.distance) for start in self.starts)
        kind = "a local minimum" if self.minimum else "a critical path"
        return (
            f"Geodesic: distance {self.distance:.8g} in [{self.lower:.4g}, {self.upper:.4g}], {kind} with residual "
            f"{self.residual:.0e}, shortest of {tried} found from {len(self.starts)} starts"
        )


def wasserstein_m(
    mu0: Tokens | Density,
    mu1: Tokens | Density,
    form: Any,
    *,
    times: int = 33,
    quantiles: int = 64,
    refine: int = 3,
    tolerance: float = 1e-9,
) -> Geodesic:
    r"""Look for a geodesic between two measures in the metric with mobility $\mu/Z_\mu$.

    $$ W_m(\mu_0, \mu_1)^2 = \inf \int_0^1 \int Z_{\mu_t} |v_t|^2\, d\mu_t\, dt, \qquad
       Z_\mu(x) = \int e^{x\cdot Dy} d\mu(y), \qquad \partial_t\mu + \mathrm{div}(\mu v) = 0 $$

    Tokens carry their mass, so this is a geodesic of the Riemannian metric $\sum_i w_i Z_i |a_i|^2$ on configurations.
    The infimum is over couplings as well. On the circle tokens keep their order, so a coupling is an offset of the
    quantiles: every rotation is a start, those whose straight paths are shortest among their neighbours are refined,
    and beside a density the best offset is found to the last digit. In higher dimension the couplings tried are optimal
    for W_2 and for costs near it. The curve between is found by Newton's method; the action is not jointly convex, so
    the result is a critical path with its residual, and bounds.

    Main arguments:
        mu0, mu1: tokens on one sphere, or densities on the circle.
        form: `(d, d)` symmetric matrix D, or a number for a multiple of the identity. The softmax flow with form D and
            `V = ±D` is the gradient flow of $E = \frac12\iint e^{x\cdot Dy}d\mu d\mu$ in this metric.

    Other arguments:
        times: states along the path, both ends included; the distance is of fourth order in their step.
        quantiles: tokens that stand for a density.
        refine: starts from which a critical path is looked for.
        tolerance: residual at which Newton's method ends.

    Raises:
        BadInput: the form is not symmetric, the measures are no tokens or densities of one sphere (a density that is
            negative or unnormalised is refused where it is made), fewer than 3 times, or too many tokens.

    Source: [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the particle form is derived here.

    Example:
        >>> import measureflow as mf
        >>> one, other = (mf.uniform(mf.Sphere(2), n=8, seed=seed) for seed in (0, 1))
        >>> found = mf.wasserstein_m(one, other, [[1.0, 0.0], [0.0, -1.0]], times=9)
        >>> found.lower <= found.distance <= found.upper, found.residual < 1e-8
        (True, True)
    """
    check_measures(mu0, mu1)
    form = as_form("wasserstein_m", form, mu0.d)
    for name, value, least in (("times", times, 3), ("quantiles", quantiles, 2), ("refine", refine, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise BadInput(f"wasserstein_m: {name} is {value!r}; it is a whole number of at least {least}.")
    tokens = [mu for mu in (mu0, mu1) if isinstance(mu, Tokens)]
    n = quantiles if len(tokens) < 2 and mu0.d == 2 else pieces_of(*tokens)
    if times * n * n > MEMORY:
        most = int(np.sqrt(MEMORY / times))
        raise BadInput(f"wasserstein_m: {n:,} masses at {times} times; give at most {most:,}, or fewer times.")
    candidates = couplings(mu0, mu1, form, quantiles)
    lengths = [straight_length(form, candidate) for candidate in candidates]
    chosen = promising(lengths, refine, in_order=mu0.d == 2)
    starts = [Start(candidate.offset, length) for candidate, length in zip(candidates, lengths, strict=True)]
    reached = {}
    for k in chosen:
        action = Action(form, candidates[k].masses)
        reached[k] = descended(action, candidates[k].straight(times), tolerance=tolerance)
        length = float(np.sqrt(action.smooth_action(reached[k].states)))
        starts[k] = starts[k]._replace(distance=length, residual=reached[k].residual)
    best = min(chosen, key=lambda k: starts[k].distance)
    action = Action(form, candidates[best].masses)
    at, residual, coupling = settled(action, reached[best], candidates[best], tolerance)
    distance = float(np.sqrt(action.smooth_action(at.states)))
    lower, upper = bounds_of_distance(mu0, mu1, form)
    recipe = Recipe.of("wasserstein_m", start=mu0, end=mu1, form=form, times=times, quantiles=quantiles, refine=refine)
    path = path_of(coupling.tokens(mu0), at.states, np.linspace(0.0, 1.0, times), recipe, steps=at.steps)
    return Geodesic(
        path=path,
        distance=distance,
        error=abs(float(np.sqrt(action.action(at.states))) - distance),
        residual=residual,
        lower=lower,
        upper=upper,
        minimum=at.minimum,
        starts=tuple(starts),
        speeds=action.speeds(at.states),
    )


def check_measures(mu0: Any, mu1: Any) -> None:
    """Raise `BadInput` unless both are single measures of one sphere that can be tokens."""
    for mu in (mu0, mu1):
        circle = isinstance(mu, Density) and mu.space == Sphere(2)
        if not circle and not (isinstance(mu, Tokens) and isinstance(mu.space, Sphere)):
            what = f"{type(mu).__name__} on {mu.space!r}" if hasattr(mu, "space") else type(mu).__name__
            raise BadInput(f"wasserstein_m: {what}; give tokens on a sphere, or densities on the circle.")
        if is_traced(mu) or mu.batch:
            raise BadInput("wasserstein_m: a measure is traced or batched; the search runs on one pair of known ones.")
    if mu0.space != mu1.space:
        raise BadInput(f"wasserstein_m: the measures live on {mu0.space!r} and {mu1.space!r}; give one space.")


def pieces_of(mu0: Tokens, mu1: Tokens) -> int:
    """Return into how many pieces a coupling may cut the masses."""
    equal = mu0.n == mu1.n and all(np.ptp(np.asarray(mu.weights)) < 1e-13 for mu in (mu0, mu1))
    return mu0.n if equal else mu0.n + mu1.n


def as_form(verb: str, form: Any, d: int) -> Float[np.ndarray, "d d"]:
    """Return a symmetric matrix, of a matrix or a number; raise `BadInput` for any other."""
    try:
        matrix = np.asarray(form, float)
    except (TypeError, ValueError):
        raise BadInput(f"{verb}: form is {form!r}; give a symmetric ({d}, {d}) matrix or a number.") from None
    matrix = matrix * np.eye(d) if matrix.ndim == 0 else matrix
    if matrix.shape != (d, d) or not np.isfinite(matrix).all():
        raise BadInput(f"{verb}: form has shape {matrix.shape} or an entry that is not finite; give ({d}, {d}).")
    gap = np.abs(matrix - matrix.T).max()
    if gap > 1e-12 * max(1.0, np.abs(matrix).max()):
        raise BadInput(
            f"{verb}: the form differs from its transpose by {gap:.3g}; the metric needs a symmetric one, such as "
            f"(D + D.T) / 2."
        )
    if (norm := float(np.linalg.norm(matrix, 2))) > LARGEST:
        raise BadInput(f"{verb}: the form has norm {norm:.4g}, and e to it overflows; the largest is {LARGEST:g}.")
    return 0.5 * (matrix + matrix.T)


def straight_length(form: np.ndarray, coupling: Coupling) -> float:
    """Return the length of the path on which all move at constant speed, roughly."""
    return float(np.sqrt(Action(form, coupling.masses).action(coupling.straight(7))))


def promising(lengths: list[float], refine: int, *, in_order: bool) -> list[int]:
    """Return the starts that are refined, the shortest first; of a list in order, those shorter than their neighbours
    before the others."""
    padded = np.concatenate([[np.inf], lengths, [np.inf]])
    dips = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:])
    by_length = [int(k) for k in np.argsort(lengths, kind="stable")]
    return sorted(by_length, key=lambda k: in_order and not dips[k])[:refine]


def settled(action: Action, at: Descent, coupling: Coupling, tolerance: float) -> tuple[Descent, float, Coupling]:
    """Return a critical path for the best offset near, its residual, and its coupling; as it is where none is free."""
    shifted = coupling.shifted
    if shifted is None:
        return at, at.residual, coupling
    # the derivative of the action by the offset is that by the ends, which the offset moves
    slope, step, before = by_offset(action, at, coupling), 0.0, 0.0
    for _ in range(12):  # secants: the action is smooth in the offset
        if abs(slope) <= 2.0 * tolerance * action.action(at.states):
            break
        stiff = 2.0 * float(action.masses @ action.mobility(at.states[0])) * (2 * np.pi) ** 2
        curvature = (slope - before) / step if step else stiff
        step = -slope / (curvature if curvature > 1e-3 * stiff else stiff)
        before, moved = slope, shifted(step)
        at = descended(action, coupling.carried(at.states, moved), tolerance=tolerance)
        coupling, slope, shifted = moved, by_offset(action, at, moved), moved.shifted or shifted
    speed = action.action(at.states)
    return at, max(at.residual, abs(slope) / (2.0 * speed) if speed > 0 else abs(slope)), coupling


def by_offset(action: Action, at: Descent, coupling: Coupling) -> float:
    """Return the derivative of the action by the offset."""
    slope = action.slopes(at.states)[0]
    total = 0.0
    for end, rate in zip((0, -1), coupling.rates(), strict=True):
        x = at.states[end]
        forward = np.stack([-x[:, 1], x[:, 0]], axis=1)
        total += float(((slope[end] * forward).sum(axis=1) * rate).sum())
    return total


def path_of(tokens: Tokens, states: np.ndarray, times: np.ndarray, recipe: Recipe, **parts: Any) -> Path:
    """Return a path of tokens whose masses stay, from its states."""
    count = len(states)
    arrays = {name: jnp.asarray(np.repeat(np.asarray(getattr(tokens, name))[None], count, 0)) for name in tokens.axes}
    field = parts.pop("field", None)
    return Path(
        times=jnp.asarray(times),
        measure=tokens.replace(**{**arrays, "points": jnp.asarray(states)}),
        kept=jnp.asarray(np.arange(count)),
        recorded={},
        merges=Merges.none(tokens),
        stats=parts,
        code=jnp.asarray(STATUSES.index("reached")),
        field=field,
        recipe=recipe,
    )
