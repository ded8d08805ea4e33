"""What the claims, figures and studies of Gaussian flows share: random laws, and many of them moved by one program."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.flows import segment as steps

__all__ = ["KINDS", "D", "Orbits", "attracting", "follow", "orbits", "spread", "together"]

#: the dimension of the laws of the closed solutions
D = 3
#: laws that one program moves at once; more go in several calls of it
BATCH = 8
#: times that it saves at least; fewer are filled up, so that pictures and claims share it
SAVED = 41
KINDS = ("softmax", "two heads", "l2", "sinkhorn")


def spread(case: Case, d: int) -> np.ndarray:
    """Draw a covariance whose eigenvalues lie in [0.2, 2]."""
    generator = case.generator("covariance")
    axes, _ = np.linalg.qr(generator.normal(size=(d, d)))
    return (axes * generator.uniform(0.2, 2.0, d)) @ axes.T


def attracting(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw query and key that are alike, so that the covariance explodes."""
    d = case.given("d", D)
    query, off = case.generator("query and key").normal(size=(2, d, d))
    return query, query + 0.5 * off


def follow(case: Case, cov: np.ndarray, query: Any, key: Any, times: Any, **options: Any) -> mf.Path:
    """Return the path of a centred Gaussian, remembered; another mean would grow like e^t and change nothing here."""
    law = mf.Gaussian(np.zeros(len(cov)), cov)
    field = mf.SelfAttention(case.given("beta", 1.0), query=query, key=key)
    return case.measure(mf.flow, law, field, until=float(times[-1]), save=times, **options)


class OwnClock(mf.Field):
    r"""A field on the clock $d\tau = \mathrm{tr}(S)\,dt$ of the law, or on its own where `own` is 0.

    The curves are the same. On that clock a covariance that explodes like $1/(t^* - t)$ grows like $e^\tau$, and one
    that falls like 1/t falls like it too: both are seen in full.
    """

    field: mf.Field
    own: Any

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return the output of the field."""
        return self.field.output(x, mu, positions)

    def affine(self, mu: mf.Gaussian) -> tuple[Array, Array]:
        """Return `b` and `B` on that clock."""
        shift, slope = self.field.affine(mu)
        pace = jnp.where(self.own > 0, 1.0 / jnp.trace(mu.cov), 1.0)
        return pace * shift, pace * slope


@eqx.filter_jit
def moved(covs: Array, fields: mf.Field, times: Array, rtol: Array) -> tuple[Array, Array]:
    """Move centred laws, each under its field; return the covariances at the times and how each run ended."""

    def one(cov: Array, field: mf.Field, times: Array) -> tuple[Array, Array]:
        law = mf.Gaussian(jnp.zeros(cov.shape[0]), cov)
        solver = mf.Adaptive(rtol=rtol, atol=1e-3 * rtol, pair="dopri8")
        path = mf.flow(law, field, until=times[-1], save=times, solver=solver)
        return path.cov, path.code

    return jax.vmap(one)(covs, fields, times)


class Orbits(eqx.Module):
    """Covariances along many flows, and how each ended.

    Attributes:
        times: `(r, s)`; cov: `(r, s, d, d)`, the last finite state after a blow-up.
        exploded: which of them exploded; finished: which were followed to the last time.
    """

    times: Float[np.ndarray, "r s"]
    cov: Float[np.ndarray, "r s d d"]
    exploded: Bool[np.ndarray, "r"]
    finished: Bool[np.ndarray, "r"]


def together(covs: Any, fields: mf.Field, times: Any, *, rtol: float = 1e-9) -> Orbits:
    """Move r laws by one program, whatever r is; `fields` have a leading axis r, and `times` may have one."""
    covs = np.asarray(covs, float)
    count = np.shape(times)[-1]
    times, saved = np.broadcast_to(np.asarray(times, float), (len(covs), count)), max(SAVED, count)
    filled = np.linspace(times[:, -2], times[:, -1], saved + 2 - count, axis=1)
    clock = np.concatenate([times[:, :-1], filled[:, 1:]], axis=1)
    parts = []
    for first in range(0, len(covs), BATCH):
        rows = np.minimum(np.arange(first, first + BATCH), len(covs) - 1)
        own = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(np.asarray(leaf)[rows]), fields)
        found = moved(jnp.asarray(covs[rows]), own, jnp.asarray(clock[rows]), jnp.asarray(rtol))
        parts.append([np.asarray(one)[: len(covs) - first] for one in found])
    cov, code = (np.concatenate(part) for part in zip(*parts, strict=True))
    wanted = [*range(count - 1), saved - 1]
    return Orbits(times, cov[:, wanted], code == steps.BLOW_UP, code == steps.RUNNING)


def orbits(
    kinds: Any,
    covs: Any,
    query: Any,
    key: Any,
    value: Any,
    times: Any,
    *,
    beta: Any = 1.0,
    own_clock: bool = False,
    rtol: float = 1e-9,
) -> Orbits:
    """Move laws of the plane under attention of one kind, or each of a kind of its own.

    Query, key, value, beta and times may have an axis of laws. `"two heads"` are heads of dimension 1: rows of query
    and key, with V as value of the first and the second coordinate.
    """
    covs = np.asarray(covs, float)
    count = len(covs)
    kinds = np.broadcast_to(np.asarray(kinds), (count,))
    query, key, value = (np.broadcast_to(np.asarray(one, float), (count, 2, 2)) for one in (query, key, value))
    one, rows = np.eye(2), [np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]

    def where(kind: str, *parts: np.ndarray) -> Any:
        return (np.where((kinds == kind)[:, None, None], part, 0.0) for part in parts)

    # queries and keys of both softmax heads: whole for one head, a row each for two
    split = (kinds == "two heads")[:, None, None]
    halves = [np.where(split, row, one) for row in rows]
    first, second = where("two heads", *(row @ value for row in rows))
    (alone,), (l2,), (sinkhorn,) = (where(kind, value) for kind in ("softmax", "l2", "sinkhorn"))
    shape = (count, 2, 2, 2)
    queries, keys = (
        np.concatenate([np.stack([half @ part for half in halves], 1), np.broadcast_to(part[:, None], shape)], axis=1)
        for part in (query, key)
    )
    values = np.stack([first + alone, second, l2, sinkhorn], axis=1)
    heads = jax.vmap(all_heads)(np.broadcast_to(np.asarray(beta, float), (count,)), queries, keys, values)
    return together(covs, OwnClock(heads, np.full(count, float(own_clock))), times, rtol=rtol)


def all_heads(beta: Any, queries: Any, keys: Any, values: Any) -> mf.Field:
    """Return one head of every kind, where the values say which of them move anything: one program serves them all."""
    kinds: list[dict[str, Any]] = [{}, {}, {"score": "l2"}, {"weighting": "sinkhorn"}]
    return mf.MultiHead(
        [mf.SelfAttention(beta, query=queries[k], key=keys[k], value=values[k], **kind) for k, kind in enumerate(kinds)]
    )
