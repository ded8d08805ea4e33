"""The solver's settings: which pair, how exact, how long it may try."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.flows.pairs import PAIRS
from measureflow.paths import register
from measureflow.spaces import is_traced

__all__ = ["Adaptive"]


@register
class Adaptive(eqx.Module):
    r"""Error-controlled steps of an embedded Runge-Kutta pair.

    A step is accepted when every token's estimated error is at most $\text{atol} + \text{rtol}\,|x_i|$.

    Arguments:
        rtol, atol: tolerances per step, > 0; `rtol` below 1e-14 is below rounding and refused.
        pair: `"dormand-prince"`, order 5(4), or `"dopri8"`, order 8(7), which is cheaper below about 1e-9.
        coarsen: join tokens that have met where that is exact up to its distance (30 tolerances), so that steps can
            grow with the metastable time scale; see `path.merges`.
        max_steps: attempts between two saved times before the run ends as `unresolved`.
        dense: under `jit` and `vmap`, land on the last saved time and on jumps of the field only, and read the others
            off the pair's own interpolant, whose error is that of a step: many saved times cost no steps.

    Example:
        >>> import measureflow as mf
        >>> mf.Adaptive(rtol=1e-10, atol=1e-12)
        Adaptive(rtol=1e-10, atol=1e-12, pair='dormand-prince')
    """

    rtol: Float[Array, ""]
    atol: Float[Array, ""]
    pair: str = eqx.field(static=True)
    coarsen: bool = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    dense: bool = eqx.field(static=True)

    def __init__(
        self,
        rtol: Any = 1e-8,
        atol: Any = 1e-10,
        pair: str = "dormand-prince",
        coarsen: bool = True,
        max_steps: int = 10_000_000,
        dense: bool = False,
    ) -> None:
        for name, value, least in (("rtol", rtol, 1e-14), ("atol", atol, 1e-300)):
            if not is_traced(value) and not (math.isfinite(float(value)) and float(value) >= least):
                raise BadInput(f"Adaptive: {name} is {value}; a tolerance must be finite and at least {least:g}.")
        if pair not in PAIRS:
            raise BadInput(f"Adaptive: pair is {pair!r}; it must be one of {', '.join(map(repr, PAIRS))}.")
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise BadInput(f"Adaptive: max_steps is {max_steps!r}; it must be an integer of at least 1.")
        self.rtol, self.atol = jnp.asarray(rtol, float), jnp.asarray(atol, float)
        self.pair, self.coarsen, self.max_steps = pair, bool(coarsen), max_steps
        self.dense = bool(dense)

    def __repr__(self) -> str:
        if is_traced(self.rtol, self.atol):
            return f"Adaptive(traced, pair={self.pair!r})"
        return f"Adaptive(rtol={float(self.rtol):g}, atol={float(self.atol):g}, pair={self.pair!r})"
