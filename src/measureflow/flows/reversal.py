"""Layers backwards: activations computed again from the last ones, and derivatives that store none on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field, Free, all_exact
from measureflow.fields.interpolated import stacked
from measureflow.flows.layers import apply_heun, apply_layer, check_field, check_method, checked_depth, checked_step
from measureflow.measures import Tokens
from measureflow.paths import Path, Recipe
from measureflow.spaces import Euclidean

__all__ = ["memory_free_layers", "reconstruct"]


def reconstruct(path: Path, *, field: Field | Sequence[Field] | None = None) -> Path:
    r"""Compute the states of residual layers backwards from the last one, as a path of the same times.

    $$ \text{Euler: } \tilde x_k = \tilde x_{k+1} - hA_k(\tilde x_{k+1}), \qquad
       \text{Heun: } y = \tilde x_{k+1} - hA_{k+1}(\tilde x_{k+1}),\;
       \tilde x_k = \tilde x_{k+1} - \tfrac h2\bigl(A_{k+1}(\tilde x_{k+1}) + A_k(y)\bigr) $$

    The error `reconstruct(path).points - path.points` is of order h and $h^3$ where the weights are smooth in depth (a
    method of even order cancels its leading error when it is reversed), and about h for both where they are not.

    Arguments:
        path: a path of `mf.layers` on Euclidean space without a norm, with all its states; its method is honoured.
        field: what made the path, where it does not know.

    Source: [arXiv:2205.14612](https://arxiv.org/abs/2205.14612); $h^3$ is derived.

    Raises:
        BadInput: the path is of something else, or states are missing.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Euclidean(2), n=5, seed=0), mf.SelfAttention(beta=1.0)
        >>> path = mf.layers(tokens, field, depth=16, step=1 / 16, method="heun")
        >>> float(abs(mf.flows.reconstruct(path).points - path.points).max()) < 1e-4
        True
    """
    data = path.recipe.data if isinstance(path, Path) else {}
    if data.get("verb") != "layers" or not isinstance(path.space, Euclidean) or "Free" not in str(data):
        raise BadInput("reconstruct: give a path of mf.layers on mf.Euclidean(d) without a norm.")
    if len(path) != len(path.times):
        raise BadInput("reconstruct: the path has not all of its states; run mf.layers with keep='all'.")
    field = path.field if field is None else field
    if field is None:
        raise BadInput("reconstruct: the path does not know its field; give field=.")
    points = np.asarray(path.points)
    mu = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[-1]), path.measure.replace(labels=None))
    if isinstance(field, Field):
        h = jnp.asarray(float(path.times[1] - path.times[0]))
        back = backwards(mu, field, len(path) - 1, h, data.get("method") == "heun")
    else:
        h, back = jnp.asarray(float(data.get("step") or 1.0)), [points[-1]]
        for one in reversed(tuple(field)[: len(points) - 1]):
            back.append(previous(mu.replace(points=jnp.asarray(back[-1])), one, h))
        back = jnp.stack([jnp.asarray(one) for one in reversed(back)])
    return dataclasses.replace(
        path,
        measure=path.measure.replace(points=back),
        recorded={},
        recipe=Recipe.of("reconstruct", layers=path.recipe.hash),
    )


@eqx.filter_jit
def backwards(mu: Tokens, field: Field, depth: int, h: Array, twice: bool) -> Array:
    """Return the points of all layers of one field, from the last ones."""

    def body(x: Array, k: Array) -> tuple[Array, Array]:
        new = undone(mu.replace(points=x), field.at(k * h), field.at((k + 1) * h), h, twice)
        return new, new

    _, points = jax.lax.scan(body, mu.points, jnp.arange(depth), reverse=True)
    return jnp.concatenate([points, mu.points[None]])


@eqx.filter_jit
def previous(mu: Tokens, field: Field, h: Array) -> Array:
    """Return the points in front of one sub-layer."""
    return undone(mu, field, field, h, False)


def layer(mu: Tokens, here: Field, there: Field, h: Array, twice: bool) -> Array:
    """Return the points after one layer between two depths."""
    return apply_heun(mu, here, there, h) if twice else apply_layer(mu, here, h, Free(), jnp.zeros(()))


def undone(mu: Tokens, here: Field, there: Field, h: Array, twice: bool) -> Array:
    """Return the points in front of one layer, but for the error of the method."""
    return layer(mu, there, here, -h, True) if twice else layer(mu, here, here, -h, False)


def memory_free_layers(
    tokens: Tokens, field: Field | Sequence[Field], *, depth: int | None = None, step: float, method: str = "euler"
) -> Tokens:
    r"""Return the tokens behind residual layers; its reverse-mode derivative stores no activations.

    The values are those of `mf.layers(..., keep="last")`. Going back, each state is computed from the next one as in
    `reconstruct`, so that memory does not grow with the depth and the gradient has a relative error of order h (Euler)
    or better than $h^2$ (Heun, weights smooth in depth), and of order h where the weights jump. Gradients reach the
    tokens' points and masses, every weight of the fields, and the step.

    Main arguments:
        tokens: on Euclidean space.
        field: one field, applied `depth` times, that may change with depth; or a list of fields of one kind, one for
            each layer, whose leaves are stacked. Heun's method looks at the field behind the last layer too: then the
            list has `depth + 1` of them.
        depth: number of layers; that of the list by default. step: h.

    Other arguments:
        method: `"euler"` or `"heun"`, as in `mf.layers`; going forth and going back.

    Source: [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Raises:
        BadInput: tokens that are not in Euclidean space; fields of different kinds; arguments of wrong kind or value.

    Example:
        >>> import jax, measureflow as mf
        >>> tokens = mf.uniform(mf.Euclidean(2), n=5, seed=0)
        >>> def loss(field):
        ...     return (mf.flows.memory_free_layers(tokens, field, depth=64, step=1 / 64).points ** 2).sum()
        >>> slopes = jax.grad(loss)(mf.SelfAttention(beta=1.0, value=-1.0))
        >>> bool(slopes.value > 0)
        True
    """
    if not isinstance(tokens, Tokens) or not isinstance(tokens.space, Euclidean):
        raise BadInput("memory_free_layers: layers run backwards without a norm alone; give tokens on mf.Euclidean(d).")
    check_method("memory_free_layers", method, True, Free())
    one, twice = isinstance(field, Field), method == "heun"
    if one and depth is None:
        raise BadInput("memory_free_layers: one field needs depth=, how many layers.")
    fields = [field] if isinstance(field, Field) else list(field)
    check_field("memory_free_layers", lambda mu: all_exact(fields[0].at(0.0)).output(mu.points, mu), fields[0], tokens)
    turns = checked_depth(len(fields) - twice if depth is None else depth, one, fields)
    if not one and len(fields) < turns + twice:
        raise BadInput(f"memory_free_layers: {turns} layers of Heun's method need {turns + 1} fields; give one more.")
    stack = None if one else stacked(fields)
    moving = (tokens.points, tokens.weights, field if one else None, *ends(stack, turns, twice), checked_step(step))
    still = jax.lax.stop_gradient(tokens.replace(labels=None))  # what moves of it is in `moving`
    return tokens.replace(points=compiled(moving, still, turns, twice))


def ends(stack: Any, depth: int, twice: bool) -> tuple[Any, Any]:
    """Return the stacked fields at the near and at the far end of every layer."""
    near, far = (jax.tree.map(lambda leaf, k=k: leaf[k : depth + k], stack) for k in (0, 1))
    return near, far if twice else None


def at_ends(shared: Any, near: Any, far: Any, k: Array, h: Array) -> tuple[Field, Field]:
    """Return the fields at both ends of a layer."""
    if shared is None:
        return near, near if far is None else far
    return shared.at(k * h), shared.at((k + 1) * h)


def one_layer(moving: Any, k: Array, still: Tokens, twice: bool, back: bool = False) -> Array:
    """Return the points behind layer k, or in front of it."""
    points, weights, shared, near, far, h = moving
    apply = undone if back else layer
    return apply(still.replace(points=points, weights=weights), *at_ends(shared, near, far, k, h), h, twice)


def forth(moving: Any, still: Tokens, depth: int, twice: bool) -> Array:
    """Return the points behind all layers."""
    points, weights, shared, near, far, h = moving

    def body(x: Array, each: Any) -> tuple[Array, None]:
        k, one, other = each
        return one_layer((x, weights, shared, one, other, h), k, still, twice), None

    return jax.lax.scan(body, points, (jnp.arange(depth), near, far))[0]


@eqx.filter_custom_vjp
def last_points(moving: Any, still: Tokens, depth: int, twice: bool) -> Array:
    """Return the points behind all layers, with a derivative of its own."""
    return forth(moving, still, depth, twice)


@last_points.def_fwd
def _(perturbed: Any, moving: Any, still: Tokens, depth: int, twice: bool) -> tuple[Array, Array]:
    points = forth(moving, still, depth, twice)
    return points, points


@last_points.def_bwd
def _(last: Array, slope: Array, perturbed: Any, moving: Any, still: Tokens, depth: int, twice: bool) -> Any:
    """Return the cotangents of everything that moves: points and slopes go back layer by layer, the rest adds up."""
    _, weights, shared, near, far, h = moving
    kept = (weights, shared, h)
    none = jax.tree.map(jnp.zeros_like, eqx.filter(kept, eqx.is_inexact_array))

    def body(carry: Any, each: Any) -> tuple[Any, Any]:
        x, slope, total = carry
        k, one, other = each
        before = one_layer((x, weights, shared, one, other, h), k, still, twice, back=True)

        def step(point: Array, kept: Any, one: Any, other: Any) -> Array:
            return one_layer((point, *kept[:2], one, other, kept[2]), k, still, twice)

        slope, more, *own = eqx.filter_vjp(step, before, kept, one, other)[1](slope)
        return (before, slope, eqx.apply_updates(total, more)), tuple(own)

    start = (last, slope, none)
    (_, slope, total), own = jax.lax.scan(body, start, (jnp.arange(depth), near, far), reverse=True)
    return (slope, *total[:2], *own, total[2])


compiled = eqx.filter_jit(last_points)
