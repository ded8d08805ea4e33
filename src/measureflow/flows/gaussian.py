"""The flow of a Gaussian: mean and covariance under fields whose velocity is affine."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows.closed import Closure, move
from measureflow.flows.conditions import Condition, checked_time, save_times
from measureflow.flows.record import as_recorders, check_recorders, kept_indices, values_along
from measureflow.flows.whole import read_or_run
from measureflow.measures import Gaussian, Tokens
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

    def speed(self, law: Gaussian) -> Float[Array, ""]:
        """Return the larger of the speeds of the mean and of the covariance (Frobenius)."""
        shift, slope = self.field.affine(law)
        pulled = slope @ law.cov
        return jnp.maximum(jnp.linalg.norm(shift + slope @ law.mean), jnp.linalg.norm(pulled + pulled.T))


class OfLaw(Condition):
    """A condition on the law that the rows of the closure stand for."""

    condition: Condition
    closure: Affine
    reads_rows: ClassVar[bool] = True

    @property
    def located(self) -> bool:
        """Whether the moment is searched for."""
        return self.condition.located

    def ready(self, tokens: Tokens) -> Condition:
        """Return it: the law has been looked at."""
        return self

    def margin(self, mu: Tokens, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return the margin of the condition at the law."""
        law = self.closure.gaussian(mu.points)
        return self.condition.margin(law, self.closure.speed(law))


def gaussian_flow(
    law: Gaussian,
    field: Any,
    *,
    until: Any,
    save: Any,
    solver: Any,
    record: Any,
    keep: Any,
    store: Any,
    progress: Any,
    **others: Any,
) -> Path:
    r"""Move the law $N(m, S)$: $\dot m = b + Bm$, $\dot S = BS + SB^T$ with $v(x) = b + Bx$.

    Where the covariance explodes before `until` the path ends at that moment, to the precision of the solver, with
    status `blow-up` and a last state that is huge and finite. (A mean that grows like $e^t$, as under V = I, ends
    a path in the same way where it leaves the range of doubles.) It may also wait: for `mf.Stationary(tol)`, or for a
    trace of the covariance, `mf.Spread(value)`. With `store` the path is written whole at its end.

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).
    """
    for name, value in others.items():
        if value not in (None, 0, False):
            raise BadInput(f"flow: {name}={value!r} is not for a Gaussian, which moves by a closed equation; leave it.")
    if not isinstance(field, Field):
        raise BadInput(f"flow: field is {field!r}; give a field such as mf.SelfAttention(beta=9.0).")
    jax.eval_shape(field.at(0.0).affine, law)  # a field without a closed form speaks before any work starts
    recorders = as_recorders(record)
    closure = Affine(field, law.cov)
    columns = jnp.concatenate([law.mean[None], jnp.eye(law.d)])
    waited = condition_on(law, until, closure) if isinstance(until, Condition) else until

    def run(recipe: Recipe | None) -> Path:
        path = move("flow", columns, closure, until=waited, save=save, solver=solver, progress=progress)
        states = closure.gaussian(path.points)
        wanted = kept_indices(keep, path.times.shape[0])
        return dataclasses.replace(
            path,
            measure=jax.tree.map(lambda leaf: leaf[wanted], states),
            kept=jnp.asarray(wanted),
            recorded=values_along(recorders, field, states, path.times) if recorders else {},
            merges=Merges.none(states),
            stats={name: value for name, value in path.stats.items() if name != "sphere_defect"},
            field=field,
            recipe=path.recipe if recipe is None else recipe,
            again=None,
        )

    if is_traced(law, field, until, save, solver):
        if store is not None:
            raise BadInput("flow: under jit, vmap or grad there is no store=; save the path behind it.")
        return run(None)
    check_recorders(recorders, law, field)
    end = float(until.cap) if isinstance(until, Condition) else checked_time(until)
    asked = {"until": until, "times": save_times(save, end), "solver": solver, "keep": keep}
    recipe = Recipe.of("flow", measure=law, field=field, record=[one.description for one in recorders], **asked)
    return read_or_run(store, recipe, field, end, lambda: run(recipe))


def condition_on(law: Gaussian, condition: Condition, closure: Affine) -> Condition:
    """Return the condition as one on the rows of the closure; raise `BadInput` where it is none on a Gaussian."""
    if not condition.of_laws:
        raise BadInput(
            f"flow: {condition!r} is a condition on tokens; a Gaussian waits for a time, mf.Stationary(tol) or "
            f"mf.Spread(value)."
        )
    if not closure.autonomous:
        raise BadInput(f"flow: the field changes with depth and {condition!r} looks at one field; give a time.")
    return OfLaw(condition.cap, condition.ready(law), closure)
