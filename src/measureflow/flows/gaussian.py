"""The flow of a Gaussian: mean and covariance under fields whose velocity is affine."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows.closed import Closure, move
from measureflow.flows.record import as_recorders, check_recorders, kept_indices, values_along
from measureflow.measures import Gaussian
from measureflow.paths import Merges, Path, Recipe
from measureflow.spaces import is_traced

__all__ = ["gaussian_flow"]


class Affine(Closure):
    r"""Mean and deformation under an affine velocity: $\dot m = b + Bm$, $\dot M = BM$, with $S = M S_0 M^T$.

    The rows are `m` and the columns of `M`. Then $\dot S = BS + SB^T$, and the covariance stays symmetric, positive
    and of the rank it has.
    """

    start: Float[Array, "d d"]

    def gaussian(self, rows: Float[Array, "*s r d"]) -> Gaussian:
        """Return the law that the rows stand for, along the axes in front as well."""
        columns = rows[..., 1:, :]
        cov = jnp.swapaxes(columns, -1, -2) @ self.start @ columns
        law = Gaussian(jnp.zeros(self.start.shape[0]), self.start)
        return law.replace(mean=rows[..., 0, :], cov=0.5 * (cov + jnp.swapaxes(cov, -1, -2)))

    def rate(self, rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
        """Return the derivatives of mean and columns."""
        shift, slope = self.field.affine(self.gaussian(rows))
        return (rows @ slope.T).at[0].add(shift)


def gaussian_flow(
    law: Gaussian, field: Any, *, until: Any, save: Any, solver: Any, record: Any, keep: Any, **others: Any
) -> Path:
    r"""Move the law $N(m, S)$: $\dot m = b + Bm$, $\dot S = BS + SB^T$ with $v(x) = b + Bx$.

    Where the covariance explodes before `until` the path ends at that moment, to the precision of the solver, with
    status `blow-up` and a last state that is huge and finite. (A mean that grows like $e^t$, as under V = I, ends
    a path in the same way where it leaves the range of doubles.)

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).
    """
    for name, value in others.items():
        if value not in (None, 0, False):
            raise BadInput(f"flow: {name}={value!r} is not for a Gaussian, which moves by a closed equation; leave it.")
    if not isinstance(field, Field):
        raise BadInput(f"flow: field is {field!r}; give a field such as mf.SelfAttention(beta=9.0).")
    jax.eval_shape(field.at(0.0).affine, law)  # a field without a closed form speaks before any work starts
    recorders = as_recorders(record)
    if not is_traced(law, field):
        check_recorders(recorders, law, field)
    columns = jnp.concatenate([law.mean[None], jnp.eye(law.d)])
    path = move("flow", columns, Affine(field, law.cov), until=until, save=save, solver=solver)
    states = Affine(field, law.cov).gaussian(path.points)
    recorded = values_along(recorders, field, states, path.times) if recorders else {}
    wanted = kept_indices(keep, path.times.shape[0])
    parts = {"until": until, "solver": solver, "record": [one.description for one in recorders], "keep": keep}
    return dataclasses.replace(
        path,
        measure=jax.tree.map(lambda leaf: leaf[wanted], states),
        kept=jnp.asarray(wanted),
        recorded=recorded,
        merges=Merges.none(states),
        stats={name: value for name, value in path.stats.items() if name != "sphere_defect"},
        field=field,
        recipe=path.recipe
        if is_traced(law, field, until, save, solver)
        else Recipe.of("flow", measure=law, field=field, times=path.times, **parts),
        again=None,
    )
