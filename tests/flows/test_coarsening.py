from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows.coarsening import first_in_cell, first_in_reach, may_coarsen

S2 = mf.Sphere(3)
TOKENS = mf.uniform(S2, n=8, seed=0)
FIELD = mf.SelfAttention(beta=4.0)


class Count(mf.Field):
    """A field that looks at how many tokens there are near, and not at their masses."""

    def output(self, x, mu, positions=None):
        gaps = mu.points[None] - x[:, None]
        return jnp.sum(jnp.exp(-jnp.sum(gaps**2, axis=-1, keepdims=True)) * gaps, axis=1)


class Mean(mf.Field):
    """A field of one's own that sees masses."""

    def output(self, x, mu, positions=None):
        return jnp.broadcast_to(mu.weights @ mu.points, x.shape)


class Eight(mf.Field):
    """A field with something for each of eight tokens."""

    def output(self, x, mu, positions=None):
        return x * jnp.arange(8.0)[:, None]


class Blind(mf.fields.Weighting):
    """Softmax without the masses."""

    largest_beta = np.inf

    def __call__(self, logits, masses, allowed, beta):
        return jnp.exp(logits) / jnp.sum(jnp.exp(logits), axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("field", "may"),
    [
        (FIELD, True),
        (mf.SelfAttention(beta=1.0, value=-1.0), True),  # only a pair that comes nearer is joined
        (FIELD + mf.Perceptron(np.eye(3), np.eye(3)), True),
        (Mean(), True),
        (FIELD + Mean(), True),
        (mf.SelfAttention(beta=1.0, mask="causal"), False),
        (mf.Schedule([FIELD, mf.SelfAttention(beta=1.0)], [0.0, 1.0]), False),
        (Count(), False),
        (FIELD + Count(), False),
        (mf.MultiHead([FIELD, Count()]), False),
        (mf.SelfAttention(beta=1.0, weighting=Blind()), False),
        (Eight(), False),
    ],
    ids=repr,
)
def test_tokens_are_joined_only_under_a_field_that_sees_their_masses_and_nothing_else(field, may):
    assert may_coarsen(TOKENS, field) is may


def test_joining_tokens_changes_the_rest_by_no_more_than_the_tolerance():
    times = [1.0, 5.0, 20.0, 60.0]
    joined = mf.flow(TOKENS, FIELD, until=60.0, save=times)
    apart = mf.flow(TOKENS, FIELD, until=60.0, save=times, solver=mf.Adaptive(coarsen=False))
    count = len(joined.times)
    assert len(joined.merges) > 0
    np.testing.assert_allclose(joined.points, apart.points[:count], rtol=0, atol=1e-6)
    assert joined.stats["accepted"] < apart.stats["accepted"]


def test_mass_of_the_tokens_that_are_shown_is_what_it_was():
    path = mf.flow(TOKENS, FIELD, until=60.0, save=[0.0, 60.0])
    np.testing.assert_array_equal(path.weights, np.full(path.weights.shape, 1 / 8))


def test_tokens_that_part_are_never_joined():
    near = mf.cap(S2, n=8, angle=1e-8, seed=0)
    path = mf.flow(near, mf.SelfAttention(beta=4.0, value=-1.0), until=30.0, save=3)
    assert len(path.merges) == 0
    gaps = np.linalg.norm(path.points[-1][:, None] - path.points[-1][None], axis=-1) + np.eye(8)
    assert gaps.min() > 1e-3


def pairs_of(partner):
    return {(k, int(p)) for k, p in enumerate(np.asarray(partner)) if p != k}


@pytest.mark.parametrize("d", [2, 3, 9])
def test_cells_join_what_pairs_join_sooner_or_later(d):
    rng = np.random.default_rng(0)
    centres = np.asarray(mf.uniform(mf.Sphere(d), n=30, seed=1).points)
    within = 1e-6
    new = np.repeat(centres, 2, axis=0)
    new[1::2] += 0.1 * within * rng.normal(size=centres.shape) / np.sqrt(d)
    old = np.repeat(centres, 2, axis=0)
    old[1::2] += 2.0 * (new[1::2] - old[1::2])  # they came nearer
    old[1] = new[1] + 0.4 * (new[0] - new[1])  # but for the first two, which part
    free = jnp.ones(60, bool).at[3].set(False)  # and of the second two one follows already
    wanted = pairs_of(first_in_reach(free, old, new, within))
    assert len(wanted) == 28
    found = set()
    for count in range(40):
        found |= pairs_of(first_in_cell(free, old, new, within, count))
        assert found <= wanted
    assert found == wanted


def test_cells_join_a_whole_heap_at_once():
    heap = np.asarray(mf.cap(mf.Sphere(3), n=700, angle=1e-9, seed=0).points)
    old = heap + 10.0 * (heap - heap[0])
    partner = np.asarray(first_in_cell(jnp.ones(700, bool), old, heap, 1e-6, 0))
    assert (partner == 0).sum() > 600
