"""`layers`: discrete depth, the map that a network performs. Not a solver of the flow, and never called one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field, Free, Normalisation, Normalised, all_exact, default_normalisation, settled
from measureflow.flows.memory import check_memory
from measureflow.flows.record import Recorders, as_recorders, check_recorders, kept_indices, values_of
from measureflow.measures import Tokens
from measureflow.paths import STATUSES, Merges, Path, Recipe
from measureflow.spaces import Space, is_traced

__all__ = ["METHODS", "layers"]

#: how a layer looks at its field: once, or at both of its ends
METHODS = ("euler", "heun")


def layers(
    tokens: Tokens,
    field: Field | Sequence[Field],
    *,
    depth: int | None = None,
    step: float | None = None,
    normalisation: Normalisation | None = None,
    method: str = "euler",
    record: Any = (),
    keep: Any = "all",
) -> Path:
    r"""Apply layers: $x \leftarrow N(x + h\,A(x;\mu))$, what a network does; other schemes place the norm elsewhere.

    One step contracts a cluster by $1/(1+h)$, so this is first-order near the flow, and a thing of its own.

    Main arguments:
        tokens: the initial measure.
        field: one field, applied `depth` times with step `step`; or a sequence of sub-layers applied in turn.
        depth: number of layers; for a sequence the number of sub-layers, by default all of them.
        step: the residual step h; 1 for a sequence unless given.

    Other arguments:
        normalisation: where the layer norm stands, see `mf.PostLN`, `PreLN`, `PeriLN`, `MixLN`, `NGPT`, `SqrtLN`.
            `None` is PostLN on a sphere and no norm on Euclidean space.
        method: `"heun"` looks at the field twice, $y = x + h A_k(x)$, $x \leftarrow x + \frac h2(A_k(x) + A_{k+1}(y))$
            ([arXiv:2205.14612](https://arxiv.org/abs/2205.14612)): second order near the flow. For one field on
            Euclidean space without a norm.
        record, keep: as in `flow`; the states are those after whole layers. `keep="sublayers"` keeps every sub-layer.

    The path's times are `step * layer` for one field and the layer index for a sequence.

    Raises:
        BadInput: arguments of wrong kind or value.

    Example:
        >>> import measureflow as mf
        >>> shallow = mf.layers(mf.uniform(mf.Sphere(3), n=20, seed=0), mf.SelfAttention(beta=9.0), depth=24, step=0.1)
        >>> len(shallow)
        25
    """
    if not isinstance(tokens, Tokens):
        raise BadInput(
            f"layers: tokens are {type(tokens).__name__}; give mf.Tokens(space, points) or a law such as mf.uniform."
        )
    scheme = checked_normalisation("layers", normalisation, tokens.space)
    one = isinstance(field, Field)
    check_method("layers", method, one, scheme)
    if one and (depth is None or step is None):
        raise BadInput(
            "layers: one field needs depth= (how many layers) and step= (the residual step, 1 for a plain block)."
        )
    blocks = checked_blocks([field] if one else field)
    check_not_normalised(blocks)
    h = checked_step(1.0 if step is None else step)
    turns = checked_depth(len(blocks) if depth is None else depth, one, blocks)
    recorders = as_recorders(record)
    if one:
        shown = all_exact(blocks[0])
        check_field("layers", lambda mu: output_of(shown.at(0.0), mu, scheme), shown, tokens)
        blocks = [settled(blocks[0], scheme.seen(tokens), None)]
    size = check_recorders(recorders, tokens, blocks[0] if one else None)
    sublayers, last_only = (isinstance(keep, str) and keep == name for name in ("sublayers", "last"))
    count = turns + 1 if one else len(whole_layers(blocks[:turns], sublayers)) + 1
    cure = "keep='last', or run in parts of less depth"
    check_memory("layers", tokens, 1 if last_only else count, size, count, cure)
    wanted = kept_indices("all" if sublayers else keep, count)
    began = time.perf_counter()
    if one:
        run = one_field(tokens, blocks[0], turns, h, scheme, recorders, method == "heun", last_only)
    else:
        run = in_turn(tokens, blocks, turns, h, scheme, recorders, sublayers, last_only)
    measure, times, recorded, last = run
    traced = is_traced(measure)
    if not traced:
        wanted = up_to(int(last), wanted, count)
        times, recorded = jax.tree.map(lambda a: a[: int(last) + 1], (times, recorded))
    measure = measure if last_only else states_at(measure, wanted, count)
    parts = {
        "tokens": tokens,
        "field": field,
        "depth": depth,
        "step": step,
        "normalisation": scheme,
        "keep": keep,
        **({} if method == "euler" else {"method": method}),
    }
    return Path(
        times=times,
        measure=measure.replace(labels=tokens.labels),
        kept=jnp.asarray(wanted),
        recorded=recorded,
        merges=Merges.none(tokens),
        stats={} if traced else {"evaluations": turns, "seconds": round(time.perf_counter() - began, 4)},
        code=jnp.where(last < count - 1, STATUSES.index("blow-up"), STATUSES.index("reached")),
        field=blocks[0] if one else tuple(blocks),
        recipe=Recipe.of("layers", traced=True)
        if traced
        else Recipe.of("layers", record=[r.description for r in recorders], **parts),
    )


def up_to(last: int, wanted: np.ndarray, count: int) -> np.ndarray:
    """Return which states stay where the last finite one of `count` is `last`: it ends the path."""
    return wanted if last == count - 1 else np.union1d(wanted[wanted <= last], [last])


def states_at(measure: Tokens, wanted: np.ndarray, count: int) -> Tokens:
    """Return some of `count` states; all of them as they are, since to take them would compile a dozen programs."""
    return measure if len(wanted) == count else jax.tree.map(lambda leaf: leaf[wanted], measure)


Run = tuple[Tokens, Array, dict[str, Array], Array]


def one_field(
    tokens: Tokens,
    field: Field,
    depth: int,
    h: Array,
    scheme: Normalisation,
    recorders: Recorders,
    twice: bool,
    last_only: bool,
) -> Run:
    """Apply one field `depth` times in one compiled scan; the field may change with depth."""
    mu = tokens.replace(labels=None)
    nested = last_only and is_traced(tokens, field, h)  # where all states are kept, nothing is saved by nesting
    points, recorded, last = scan_layers(mu, field, depth, h, scheme, recorders, last_only, nested, twice)
    return repeated(mu, points.shape[0]).replace(points=points), h * jnp.arange(depth + 1), recorded, last


@eqx.filter_jit
def scan_layers(
    tokens: Tokens,
    field: Field,
    depth: int,
    h: Array,
    scheme: Normalisation,
    recorders: Recorders,
    last_only: bool,
    nested: bool,
    twice: bool,
) -> tuple[Array, dict[str, Array], Array]:
    """Return the points after 0, 1, .. layers, what was recorded there, and the last layer whose points are finite.

    Behind it the points stand still. A backward pass computes every layer again, so that it holds the points of each
    and the pairs of one; `nested` holds those of about the square root of the depth. `twice` is the method of Heun.
    """

    def body(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], tuple[Any, dict[str, Array], Array]]:
        x, alive = carry
        mu = tokens.replace(points=x)
        here = field if field.autonomous else field.at(k * h)
        saved = values_of(recorders, mu, here)
        if twice:
            new = apply_heun(mu, here, field if field.autonomous else field.at((k + 1) * h), h)
        else:
            new = apply_layer(mu, here, h, scheme, k * h)
        able = alive & jnp.all(jnp.isfinite(new)) & (k < depth)
        return (jnp.where(able, new, x), able), (None if last_only else x, saved, able)

    start, turns = (tokens.points, jnp.asarray(True)), jnp.arange(depth + 1)
    if nested:
        inner = math.isqrt(depth) + 1
        turns = jnp.arange(inner * -(-len(turns) // inner)).reshape(-1, inner)  # beyond the depth nothing moves

    def several(carry: Any, ks: Array) -> Any:
        return jax.lax.scan(jax.checkpoint(body, prevent_cse=False), carry, ks)

    (x, _), out = (
        jax.lax.scan(jax.checkpoint(several, prevent_cse=False), start, turns) if nested else several(start, turns)
    )
    if nested:
        out = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[: depth + 1], out)
    points, recorded, able = out
    return x[None] if last_only else points, recorded, jnp.sum(able)


def output_of(field: Field, mu: Tokens, scheme: Normalisation) -> Array:
    """Return what the field says where it sees the tokens as the normalisation shows them."""
    seen = scheme.seen(mu)
    return field.output(seen.points, seen)


def apply_layer(mu: Tokens, field: Field, h: Array, scheme: Normalisation, t: Array) -> Array:
    """Return the points after one layer at depth `t`, in the state's precision; absent tokens stand still."""
    x = mu.points
    output = output_of(field, mu, scheme).astype(x.dtype)
    if output.shape != x.shape:  # a sub-layer that changes the dimension replaces the state
        return jnp.where(mu.present[:, None], output, 0)
    return jnp.where(mu.present[:, None], scheme.step(mu.space, x, output, h.astype(x.dtype), t), x)


def apply_heun(mu: Tokens, here: Field, there: Field, h: Array) -> Array:
    """Return the points after one layer of Heun's method between the fields at both of its ends, without a norm.

    With the ends exchanged and `-h` it is the layer that leads back.
    """
    x = mu.points
    h = h.astype(x.dtype)
    first = here.output(x, mu).astype(x.dtype)
    seen = mu.replace(points=jnp.where(mu.present[:, None], x + h * first, x))
    second = there.output(seen.points, seen).astype(x.dtype)
    return jnp.where(mu.present[:, None], x + 0.5 * h * (first + second), x)


def in_turn(
    tokens: Tokens,
    blocks: list[Field],
    turns: int,
    h: Array,
    scheme: Normalisation,
    recorders: Recorders,
    sublayers: bool,
    last_only: bool,
) -> Run:
    """Apply sub-layers in turn; states are those where the spans add up to a whole number of layers."""
    mu = tokens.replace(labels=None)
    states, times, last = [mu], [0.0], 0
    recorded = {recorder.name: [value] for recorder, value in zip(recorders, at_layer(recorders, mu), strict=True)}
    due = whole_layers(blocks[:turns], sublayers)
    ends = np.cumsum([block.span for block in blocks[:turns]])
    for k, block in enumerate(blocks[:turns]):
        # all sub-layers of a layer stand at its depth
        depth = jnp.asarray(np.floor(ends[k] - block.span + 1e-9), float)
        points = apply_sublayer(mu, block, h, scheme, depth)
        if not is_traced(points) and not bool(np.isfinite(np.asarray(points)).all()):
            break
        mu = mu.replace(space=mu.space.with_dimension(points.shape[1]), points=points)
        if k in due:
            states = [mu] if last_only else [*states, mu]
            times.append(due[k])
            last += 1
            for recorder, value in zip(recorders, at_layer(recorders, mu), strict=True):
                recorded[recorder.name].append(value)
    if len({state.d for state in states}) > 1:
        raise BadInput(
            "layers: the sub-layers change the dimension, so their states are no one path; run them in parts."
        )
    measure, stacked = joined(states, recorded)
    return measure, jnp.asarray(np.asarray(times), float), stacked, jnp.asarray(last)


@eqx.filter_jit
def repeated(mu: Tokens, count: int) -> Tokens:
    """Return a measure `count` times over, by one program for all of its arrays."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), mu)


@jax.jit
def joined(states: list[Tokens], recorded: dict[str, list[Array]]) -> tuple[Tokens, dict[str, Array]]:
    """Return states, and what was recorded of them, stacked by one program."""
    stacked = {name: jnp.stack(values) for name, values in recorded.items()}
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), stacked


def whole_layers(blocks: list[Field], sublayers: bool) -> dict[int, float]:
    """Return the depth after each sub-layer whose state is kept: where the spans add up, or after each."""
    depths = np.cumsum([block.span for block in blocks])
    return {k: float(d) for k, d in enumerate(depths) if sublayers or abs(d - round(d)) < 1e-9}


@eqx.filter_jit
def at_layer(recorders: Recorders, mu: Tokens) -> list[Array]:
    """Evaluate the observables after one layer."""
    return [recorder(mu, None) for recorder in recorders]


@eqx.filter_jit
def apply_sublayer(mu: Tokens, field: Field, h: Array, scheme: Normalisation, depth: Array) -> Array:
    """Apply one sub-layer, compiled once for all of one shape and computed again in a backward pass."""
    return eqx.filter_checkpoint(apply_layer)(mu, field, h, scheme, depth)


def check_field(verb: str, motion: Callable[[Tokens], Array], field: Field, tokens: Tokens) -> None:
    """Raise `BadInput` where the field cannot be evaluated on the tokens, by their shapes alone."""
    try:
        shape = jax.eval_shape(motion, tokens).shape
    except BadInput:
        raise
    except (TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise BadInput(f"{verb}: {field!r} does not act on tokens in R^{tokens.d} ({why}).") from error
    if shape != tokens.points.shape:
        raise BadInput(f"{verb}: {field!r} returns shape {shape} for tokens of shape {tokens.points.shape}.")


def checked_normalisation(verb: str, normalisation: Any, space: Space) -> Normalisation:
    """Return the normalisation, or the default one of the space; raise `BadInput` where it does not fit."""
    scheme = default_normalisation(space) if normalisation is None else normalisation
    if not isinstance(scheme, Normalisation):
        raise BadInput(f"{verb}: normalisation is {normalisation!r}; give one such as mf.PostLN(), or None.")
    scheme.check(space)
    return scheme


def check_method(verb: str, method: Any, one: bool, scheme: Normalisation) -> None:
    """Raise `BadInput` where a method is none, or Heun's where it has no meaning."""
    if method not in METHODS:
        raise BadInput(f"{verb}: method is {method!r}; it is one of {', '.join(map(repr, METHODS))}.")
    if method == "heun" and not one:
        raise BadInput(
            f"{verb}: method='heun' looks at a field at both ends of a layer, so it needs one field; sub-layers of one "
            f"kind become one as mf.fields.Interpolated(fields, times)."
        )
    if method == "heun" and not isinstance(scheme, Free):
        raise BadInput(f"{verb}: under {scheme!r} method='heun' would be of first order; use mf.Euclidean(d), no norm.")


def check_not_normalised(blocks: list[Field]) -> None:
    """Raise `BadInput` where a block is the motion of a flow under a scheme: a layer places the norm itself."""
    for block in blocks:
        if isinstance(block, Normalised):
            raise BadInput(f"layers: {block!r} is a motion; give the field itself and normalisation={block.scheme!r}.")


def checked_blocks(field: Any) -> list[Field]:
    """Return the fields as a list, or raise `BadInput`."""
    blocks = list(field) if isinstance(field, (list, tuple)) else field
    if not isinstance(blocks, list) or not blocks or any(not isinstance(block, Field) for block in blocks):
        raise BadInput(
            f"layers: field is {field!r}; give a field, or a non-empty list of sub-layers such as model.fields."
        )
    return blocks


def checked_step(step: Any) -> Array:
    """Return the residual step as an array."""
    if not is_traced(step) and not (
        isinstance(step, (int, float, np.number, jax.Array)) and np.isfinite(float(step)) and step > 0
    ):
        raise BadInput(f"layers: step is {step!r}; the residual step must be a finite number > 0.")
    return jnp.asarray(step, float)


def checked_depth(depth: Any, one: bool, blocks: list[Field]) -> int:
    """Return how many times to apply: layers for one field, sub-layers for a sequence."""
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1:
        raise BadInput(f"layers: depth is {depth!r}; it must be an integer of at least 1.")
    if not one and depth > len(blocks):
        raise BadInput(
            f"layers: depth is {depth} and there are {len(blocks)} sub-layers; repeat the sequence to go deeper."
        )
    return int(depth)
