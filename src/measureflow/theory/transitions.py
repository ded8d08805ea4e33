"""Where noise gives way to attraction: onset, coexistence and spinodal of the polarised branch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta
from measureflow.theory.noise import critical_kappa, tricritical_beta
from measureflow.theory.stationary_states import STIFFEST, between, follow, gibbs_map

__all__ = ["Transition", "transition"]


@dataclasses.dataclass(frozen=True)
class Transition:
    """Where noise and attraction balance.

    Attributes:
        onset: `kappa_#`, at which the uniform law loses its stability.
        coexistence: `kappa_c`, from which the polarised state has the lower free energy.
        spinodal: the least kappa at which there is a polarised state.
    """

    beta: float
    d: int
    onset: float
    coexistence: float
    spinodal: float

    @property
    def continuous(self) -> bool:
        """Whether the order parameter grows from 0."""
        return self.spinodal == self.onset


def transition(*, beta: float, d: int) -> Transition:
    r"""Return where the uniform law gives way under USA with noise: `kappa_#`, `kappa_c` and the spinodal.

    Up to `beta_*` all three are one. Beyond, the polarised branch turns back: its least kappa is the spinodal, and
    `kappa_c` is where its free energy equals that of the uniform law. Relative error below 1e-9. In high
    dimensions the spinodal comes to $d\beta e^{1-\beta}$ for beta up to 7.4, and $\kappa_\#$ to d.
    [arXiv:2606.05140](https://arxiv.org/abs/2606.05140) (with $K = \kappa/2$).

    Raises:
        BadInput: beta < 0, d < 2, or a transition to a state too narrow for the quadrature (beta 30 in 100 dimensions).

    Example:
        >>> from measureflow import theory
        >>> found = theory.transition(beta=4.0, d=2)
        >>> [round(kappa / found.onset, 4) for kappa in (found.coexistence, found.spinodal)]
        [0.9551, 0.9444]
    """
    onset = critical_kappa(beta=beta, d=d)
    if as_beta(beta) <= tricritical_beta(d=d):
        return Transition(float(beta), int(d), onset, onset, onset)
    for top in tops():
        gibbs = gibbs_map(beta, d, top)
        points = follow(gibbs, 0, top)
        states = [gibbs.state(u) for u in points]
        if states[0].stable:  # beta is so near beta_* that the fold cannot be told from the onset
            return Transition(float(beta), int(d), onset, onset, onset)
        if states[-1].stable and states[-1].free_energy < 0:
            break
    else:
        raise BadInput(f"theory: at beta {beta:g} and d {d} the polarised state is too narrow for the quadrature.")
    turn = next(k for k, state in enumerate(states) if state.stable)
    # the fold is where the derivative of the Gibbs map has the eigenvalue 1: a simple root, unlike the least kappa
    fold = between(gibbs, points[turn - 1], points[turn], lambda u: gibbs.state(u).slope - 1.0)
    below = next(k for k in range(turn, len(points)) if states[k].free_energy < 0)
    low = fold if below == turn else points[below - 1]
    equal = between(gibbs, low, points[below], lambda u: gibbs.state(u).free_energy)
    return Transition(float(beta), int(d), onset, float(np.exp(equal[0])), float(np.exp(fold[0])))


def tops() -> Iterator[float]:
    """Return ends of a branch, each four times as near 1 as the one before: loose states cost less."""
    gap = 0.2
    while gap > 0.25 / STIFFEST:
        yield 1.0 - gap
        gap *= 0.25
