"""Hardmax and linear attention: ties, masks, masses, off the support, in blocks, and what is differentiated."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import Hardmax, Linear

HARD = mf.SelfAttention(weighting="hardmax")


def by_hand(mu, x, places, mask, kind):
    """The rows as the papers print them, two loops over tokens."""
    points, masses, positions = (np.asarray(a) for a in (mu.points, mu.weights, mu.positions))
    rows = np.zeros((len(x), mu.n))
    for i, query in enumerate(np.asarray(x)):
        seen = [j for j in range(mu.n) if mu.present[j] and not (mask and positions[j] > places[i])]
        scores = {j: 1.5 * float(query @ points[j]) for j in seen}
        if kind == "linear":
            for j in seen:
                rows[i, j] = masses[j] * scores[j]
            continue
        best = max(scores[j] for j in seen if masses[j] > 0)
        chosen = [j for j in seen if masses[j] > 0 and scores[j] == best]
        for j in chosen:
            rows[i, j] = masses[j] / sum(masses[k] for k in chosen)
    return rows


@pytest.mark.parametrize("kind", ["hardmax", "linear"])
@pytest.mark.parametrize("mask", [None, "causal"])
def test_rows_are_those_of_two_loops_on_and_off_the_support(tokens, queries, kind, mask):
    weights = np.asarray(tokens.weights).copy()
    weights[4] = 0.0  # a tracer is not attended to
    present = np.arange(7) != 6
    weights = np.where(present, weights, 0) / weights[present].sum()
    mu = mf.Tokens(tokens.space, tokens.points, weights, positions=tokens.positions, present=present)
    field = mf.SelfAttention(query=1.5, weighting=kind, mask=mask)
    for x, places in ((mu.points, np.asarray(mu.positions)), (queries, np.arange(2, 7))):
        expected = by_hand(mu, x, places, mask, kind)
        np.testing.assert_allclose(field.weights(x, mu, places), expected, atol=1e-15)
        np.testing.assert_allclose(field.output(x, mu, places), expected @ mu.points, atol=1e-15)


def test_ties_share_by_mass_and_only_exact_ones_unless_said_otherwise():
    points, masses = [[1.0, 1.0], [-1.0, 1.0], [0.0, 0.2]], [0.2, 0.6, 0.2]
    mu = mf.Tokens(mf.Euclidean(2), points, masses)
    np.testing.assert_allclose(HARD.weights(mu.points, mu)[2], [0.25, 0.75, 0.0], atol=1e-15)
    near = mu.replace(points=mu.points.at[2, 0].set(1e-9))
    np.testing.assert_array_equal(HARD.weights(near.points, near)[2], [1.0, 0.0, 0.0])
    lenient = mf.SelfAttention(weighting=Hardmax(tie=1e-6))
    np.testing.assert_allclose(lenient.weights(near.points, near)[2], [0.25, 0.75, 0.0], atol=1e-15)


@pytest.mark.parametrize("kind", ["hardmax", "linear"])
def test_blocks_and_products_change_nothing(tokens, kind):
    field = mf.SelfAttention(weighting=kind, value=-0.5)
    whole = field(tokens.points, tokens)
    for sum in (mf.sums.Exact(block=3), mf.sums.Products()):
        other = mf.SelfAttention(weighting=kind, value=-0.5, sum=sum)
        np.testing.assert_allclose(other(tokens.points, tokens), whole, atol=1e-15)
    with pytest.raises(mf.BadInput):
        mf.sums.Harmonic(degree=5).attend(field.kernel, tokens.points, None, tokens, tokens.points)


def test_hardmax_is_the_limit_of_softmax(tokens, queries):
    hard, soft = HARD.output(queries, tokens), mf.SelfAttention(1e6).output(queries, tokens)
    np.testing.assert_allclose(soft, hard, atol=1e-12)


def test_hardmax_differentiates_what_is_pulled_and_not_the_choice(tokens, queries):
    weights = HARD.weights(queries, tokens)
    found = jax.jacobian(lambda y: HARD.output(queries, tokens.replace(points=y)))(tokens.points)
    np.testing.assert_allclose(found, np.einsum("mn,dk->mdnk", weights, np.eye(4)), atol=1e-15)
    assert float(abs(jax.jacobian(lambda x: HARD.output(x, tokens))(queries)).max()) == 0.0


def test_linear_attention_is_what_its_second_moment_says(flat, matrices, queries):
    field = mf.SelfAttention(weighting="linear", **matrices)
    moment = np.einsum("n,ni,nj->ij", flat.weights, flat.points, flat.points)
    slope = matrices["value"] @ moment @ matrices["key"].T @ matrices["query"]
    np.testing.assert_allclose(field.output(queries, flat), queries @ slope.T, rtol=1e-12)
    mean = flat.weights @ flat.points
    shift, affine = field.affine(mf.Gaussian(mean, moment - np.outer(mean, mean)))
    np.testing.assert_allclose(affine, slope, rtol=1e-12)
    assert float(abs(shift).max()) == 0.0
    doubled = mf.SelfAttention(2.0, weighting=Linear(), **matrices)
    np.testing.assert_allclose(doubled.output(queries, flat), 2 * field.output(queries, flat), rtol=1e-14)


def test_hardmax_has_no_beta_and_the_others_need_one():
    for beta in (9.0, 0, None):
        if beta is None:
            assert float(mf.SelfAttention(beta, weighting="hardmax").beta) == np.inf
            continue
        with pytest.raises(mf.BadInput, match=rf"^beta is {beta} and hardmax has none: .* Leave beta out\.$"):
            mf.SelfAttention(beta, weighting="hardmax")
    for name in ("softmax", "unnormalised"):
        with pytest.raises(mf.BadInput, match=r"^beta is None; it must be a number >= 0\.$"):
            mf.SelfAttention(weighting=name)
    for tie in (-1e-9, 1.0, "0", True, np.nan):
        with pytest.raises(mf.BadInput, match=r"^Hardmax: tie is"):
            Hardmax(tie=tie)
    assert repr(HARD) == "SelfAttention(weighting=Hardmax())"


def test_neither_has_the_energy_of_softmax(tokens):
    for field in (HARD, mf.SelfAttention(weighting="linear")):
        with pytest.raises(mf.BadInput, match="no proved energy"):
            field.energy(tokens)


def test_a_flow_joins_no_tokens_under_hardmax():
    tokens = mf.Tokens(mf.Euclidean(2), [[1.0, 0.2], [-1.0, 0.3], [0.1, 0.1], [0.1, 0.2]])
    path = mf.flow(tokens, mf.RescaledAttention(weighting="hardmax"), until=60.0, save=4)
    assert path.stats.get("merged", 0) == 0
    # a token that arrives may step past its leader by a tolerance, and lead it there
    leaders = np.broadcast_to(tokens.points[:2], path.points[:, :2].shape)
    np.testing.assert_allclose(path.points[:, :2], leaders, atol=1e-6)
    assert path.status in ("reached", "stationary")
