"""Equiangular tokens: all pairs share one cosine, and n tokens move by one number."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.fields.matrices import apply
from measureflow.flows.closed import Closure, move
from measureflow.flows.gram import heads_of
from measureflow.measures import Tokens
from measureflow.measures import equiangular as frame
from measureflow.spaces import Euclidean, is_traced

__all__ = ["Equiangular", "equiangular"]


class CommonCosine(Closure):
    r"""The coordinate $z = \ln\frac{1-\rho}{\rho + 1/(n-1)}$ of the common cosine, in which nothing cancels.

    $\dot z = -\frac{2n}{n-1} \sum_h V_h w_h$ with `w_h` the weight that a token puts on all others together.
    """

    n: Float[Array, ""]

    def rate(self, rows: Float[Array, "1 1"]) -> Float[Array, "1 1"]:
        """Return the speed of the coordinate."""
        rho = 1.0 - gap_at(rows[0, 0], self.n)
        # the token itself and all others are two atoms; its overlaps with them are its coordinates
        pair = Tokens(Euclidean(2), jnp.eye(2), jnp.stack([1.0 / self.n, 1.0 - 1.0 / self.n]))
        query = jnp.stack([jnp.ones_like(rho), rho])[None]
        pull = jnp.zeros_like(rho)
        for head in heads_of("equiangular", self.field):
            pull = pull + apply(head.value, head.kernel.weights(query, None, pair)[0, 1])
        return jnp.reshape(-2.0 * self.n / (self.n - 1.0) * pull, (1, 1))


def gap_at(z: Array, n: Array) -> Array:
    """Return `1 - rho` at the coordinate."""
    return n / (n - 1.0) / (1.0 + jnp.exp(-z))


class Equiangular(eqx.Module):
    """Equiangular tokens along depth, by their common cosine.

    Attributes:
        times: `(s,)` depths.
        gap: `(s,)` one minus the common cosine, with its digits where the cosine rounds to 1.
        n: number of tokens.
        stats: how the run went.
        field: what moved them.
    """

    times: Float[Array, "s"]
    gap: Float[Array, "s"]
    n: int = eqx.field(static=True)
    stats: dict[str, Any]
    field: Field

    @property
    def cosine(self) -> Float[Array, "s"]:
        """The common cosine of all pairs."""
        return 1.0 - self.gap

    @property
    def energy(self) -> Float[Array, "s"]:
        r"""The reporting energy $\bar E = \frac1n (1 + (n-1) e^{-\beta(1-\rho)})$ of one head without query and key.

        Raises:
            BadInput: the field is another.
        """
        heads = heads_of("equiangular", self.field)
        if len(heads) != 1 or heads[0].kernel.query is not None or heads[0].kernel.key is not None:
            raise BadInput(f"equiangular: no energy is written out for {self.field!r}.")
        return (1.0 + (self.n - 1) * jnp.exp(-heads[0].beta * self.gap)) / self.n

    def __len__(self) -> int:
        return self.times.shape[0]

    def __getitem__(self, k: int) -> Tokens:
        """Return the tokens themselves at the k-th time, on `Sphere(n)`: `n^2` numbers."""
        return frame(n=self.n, cosine=min(1.0, float(self.cosine[k])))

    def __repr__(self) -> str:
        if is_traced(self.gap) or self.gap.ndim != 1:
            return f"Equiangular(n={self.n}, batched or traced)"
        times, rho = np.asarray(self.times), np.asarray(self.cosine)
        return (
            f"Equiangular: {self.n} tokens under {self.field!r}, t = {times[0]:g} .. {times[-1]:g}, "
            f"cosine {rho[0]:.6g} .. {rho[-1]:.6g}, {self.stats.get('accepted')} steps"
        )


def equiangular(
    n: int, field: Field, *, cosine: Any = 0.0, until: Any, save: Any = None, solver: Any = None
) -> Equiangular:
    r"""Move n tokens of equal mass and common cosine by one scalar equation, for any n.

    $$ \dot\rho = \tfrac{2}{n-1}\, V w\, (1-\rho)\,((n-1)\rho + 1) $$

    `w` is the weight that a token puts on all others together: $(n-1)e^{\beta\rho}/(e^\beta + (n-1)e^{\beta\rho})$
    for SA, $\frac{n-1}n e^{\beta\rho}$ for USA. Solved in the coordinate $\ln\frac{1-\rho}{\rho + 1/(n-1)}$, so that
    `gap` keeps its digits where the cosine rounds to 1; it may be jitted, batched (phase diagrams) and differentiated.
    For one curve `mf.theory.cosine_of_equiangular_tokens` has the quadrature.

    Main arguments:
        n: number of tokens, at least 2.
        field: dot-product attention with numbers for query, key and value, without a mask; heads of it.
        cosine: where they begin, in `(-1/(n-1), 1)`; 0 is an orthonormal frame.
        until, save, solver: as in `mf.flow`; until is a time, and the default solver is sharp (1e-12).

    Raises:
        BadInput: the equation does not close for the field; a cosine outside the interval.

    Source: [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (6.7) and (6.8).

    Example:
        >>> import measureflow as mf
        >>> curve = mf.flows.equiangular(32, mf.SelfAttention(beta=3.0), until=5.89761, save=2)
        >>> round(float(curve.cosine[-1]), 6)
        0.999
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 2:
        raise BadInput(f"equiangular: n is {n!r}; a common cosine needs at least 2 tokens.")
    heads = heads_of("equiangular", field.at(0.0) if isinstance(field, Field) else field)
    if any(head.kernel.mask is not None for head in heads):
        raise BadInput("equiangular: under a mask tokens do not stay equiangular; use mf.flows.gram.")
    if not is_traced(cosine) and not -1.0 / (n - 1) < float(cosine) < 1.0:
        raise BadInput(f"equiangular: cosine is {cosine}; it must lie in (-1/(n-1), 1) = ({-1 / (n - 1):.6g}, 1).")
    count, cosine = jnp.asarray(float(n)), jnp.asarray(cosine, float)
    z = jnp.log1p(-cosine) - jnp.log(cosine + 1.0 / (n - 1))
    path = move(
        "equiangular", jnp.reshape(z, (1, 1)), CommonCosine(field, count), until=until, save=save, solver=solver
    )
    stats = {name: value for name, value in path.stats.items() if name != "sphere_defect"}
    return Equiangular(path.times, gap_at(path.points[:, 0, 0], count), int(n), stats, field)
