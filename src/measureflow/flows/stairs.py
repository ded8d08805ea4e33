"""The staircase: USA on the circle or sphere in the clock of its nearest pair, pairs that meet being glued."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.fields import NearestPair, Paced, SelfAttention, Unnormalised
from measureflow.flows.conditions import Meeting
from measureflow.flows.flow import flow
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens
from measureflow.paths import Path
from measureflow.spaces import Sphere

__all__ = ["Stairs", "stairs"]

#: rescaled time after which a pair that does not meet is given up: no step is as long, see `theory.length_of_a_step`
CAP = 1e4


class Stairs(eqx.Module):
    """A run in the rescaled clock, from step to step.

    Attributes:
        times: `(s,)` rescaled times, those of a meeting twice: before and after the glueing.
        energy: `(s,)` reporting energy.
        points, weights: `(s, n, d)` and `(s, n)`; a token that was glued has mass 0 and follows.
        lengths: `(k,)` rescaled time from meeting to meeting.
        jumps: `(k,)` rise of the energy from just after one glueing to just after the next.
        pairs: `(k, 2)` the clusters that met, by their first tokens.
        status: `reached`, or that of the leg that broke off.
        steps: accepted steps.
    """

    times: Float[np.ndarray, "s"]
    energy: Float[np.ndarray, "s"]
    points: Float[np.ndarray, "s n d"]
    weights: Float[np.ndarray, "s n"]
    lengths: Float[np.ndarray, "k"]
    jumps: Float[np.ndarray, "k"]
    pairs: Int[np.ndarray, "k 2"]
    status: str = eqx.field(static=True)
    steps: int = eqx.field(static=True)


def stairs(tokens: Tokens, beta: Any, *, radius: Any = None, save: int = 20, solver: Adaptive | None = None) -> Stairs:
    r"""Run modified USA* in the clock of the nearest pair until all tokens are one, and return the staircase.

    $$ \frac{dx_i}{ds} = \log\beta\;\min_{|x_k-x_l|>r} e^{\beta(1-\langle x_k,x_l\rangle)}
       \sum_j a_j e^{\beta(\langle x_i,x_j\rangle-1)} P_{x_i}x_j $$

    When a pair comes within `r` it is glued: one token of both masses in its centre. As `beta` grows the energy along
    `s` tends to a staircase, see `theory.staircase`. Written for the per-token gradient with $1/n^2$, times are n times
    these.

    Main arguments:
        tokens: at least two, on a sphere, no two within the radius.
        beta: inverse temperature > 1, with `beta (1 - cosine)` of each nearest pair below 700.

    Other arguments:
        radius: distance at which a pair is glued; $r_\beta = 1/\sqrt{\beta\log\beta}$ if None.
        save: saved times a step. solver: `mf.Adaptive(rtol=1e-9, atol=1e-11)` if None.

    Raises:
        BadInput: tokens that are not on a sphere, beta <= 1.

    Source: [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5, with the minimum that is meant.

    Example:
        >>> import numpy as np
        >>> import measureflow as mf
        >>> angles = np.array([0.0, 0.4, 1.3])
        >>> tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
        >>> run = mf.flows.stairs(tokens, 100.0)
        >>> [round(step.length, 2) for step in mf.theory.staircase(angles, beta=100.0)]
        [0.7, 0.71]
        >>> run.lengths.round(2).tolist()
        [0.7, 0.71]
    """
    if not isinstance(tokens, Tokens) or not isinstance(tokens.space, Sphere) or tokens.n < 2:
        raise BadInput("stairs: give at least two mf.Tokens on a sphere.")
    field = SelfAttention(beta, weighting=Unnormalised(shifted=True))
    apart = NearestPair(beta, radius).radius
    # the clock jumps at its radius: a step that looks beyond the meeting must not see that
    pace = NearestPair(beta, 0.5 * apart)
    solver = Adaptive(rtol=1e-9, atol=1e-11, coarsen=False, max_steps=20_000) if solver is None else solver
    legs: list[Path] = []
    leaders = [np.arange(tokens.n)]
    pairs: list[tuple[int, int]] = []
    ends, status = [0.0], "reached"
    while int((tokens.present & (tokens.weights > 0)).sum()) > 1:
        path = one_leg(tokens, Paced(field, pace), Meeting(apart, cap=CAP), save, solver)
        legs.append(path)
        ends.append(ends[-1] + float(path.times[-1]))
        status = path.status
        if status != "reached":
            break
        tokens, pair = glued(path[-1])
        pairs.append(pair)
        leaders.append(np.where(leaders[-1] == pair[1], pair[0], leaders[-1]))
    return gathered([*legs, tokens], leaders, ends, pairs, status, beta)


def one_leg(tokens: Tokens, field: Paced, meeting: Meeting, save: int, solver: Adaptive) -> Path:
    """Return the path up to the next meeting, saved evenly."""
    first = flow(tokens, field, until=meeting, save=[0.0], solver=solver, reduce=False)
    if first.status != "reached" or save < 3:
        return first
    within = np.linspace(0.0, float(first.times[-1]), save)[:-1]
    return flow(tokens, field, until=meeting, save=within, solver=solver, reduce=False)


def glued(tokens: Tokens) -> tuple[Tokens, tuple[int, int]]:
    """Return the tokens with the nearest pair joined in its centre of mass, and the pair: the second is absent."""
    points, weights, present = np.array(tokens.points), np.array(tokens.weights), np.array(tokens.present)
    heavy = np.flatnonzero(present & (weights > 0))
    squares = ((points[heavy][:, None] - points[heavy][None]) ** 2).sum(axis=-1)
    squares[np.tril_indices(len(heavy))] = np.inf
    one, two = (int(heavy[k]) for k in np.unravel_index(int(squares.argmin()), squares.shape))
    centre = weights[one] * points[one] + weights[two] * points[two]
    points[one] = centre / np.linalg.norm(centre)
    weights[one], weights[two], present[two] = weights[one] + weights[two], 0.0, False
    # a follower on top of its leader would feel a rounding error times e^{beta (1 - cos)}
    return tokens.replace(points=points, weights=weights, present=present), (one, two)


def gathered(
    legs: list[Path | Tokens],
    leaders: list[Int[np.ndarray, "n"]],
    ends: list[float],
    pairs: list[tuple[int, int]],
    status: str,
    beta: Any,
) -> Stairs:
    """Return the legs as one run, the last glueing at its end; glued tokens go with their leader."""
    energies = [np.atleast_1d(np.asarray(observables.energy(leg, beta=beta))) for leg in legs]
    paths = [leg for leg in legs if isinstance(leg, Path)]
    shape = np.asarray(paths[0].points).shape[1:]
    points = [np.asarray(leg.points).reshape(-1, *shape)[:, lead] for leg, lead in zip(legs, leaders, strict=False)]
    return Stairs(
        times=np.concatenate([*(np.asarray(leg.times) + t for leg, t in zip(paths, ends, strict=False)), ends[-1:]]),
        energy=np.concatenate(energies),
        points=np.concatenate([*points, points[-1][-1:]])[: sum(map(len, energies))],
        weights=np.concatenate([np.asarray(leg.weights).reshape(-1, shape[0]) for leg in legs]),
        lengths=np.diff(ends),
        jumps=np.diff([energy[0] for energy in energies]),
        pairs=np.array(pairs, int).reshape(-1, 2),
        status=status,
        steps=sum(int(path.stats["accepted"]) for path in paths),
    )
