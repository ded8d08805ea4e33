from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import effective_rank, participation_rank


@pytest.mark.parametrize("rank", [effective_rank, participation_rank])
def test_rank_of_a_frame_is_its_number_of_directions(rank):
    assert float(rank(mf.equiangular(n=6, cosine=0.0))) == pytest.approx(6.0, rel=1e-12)
    assert float(rank(mf.equiangular(n=6, cosine=1.0))) == pytest.approx(1.0, rel=1e-6)
    assert float(rank(mf.equiangular(n=6, cosine=0.5), centred=True)) == pytest.approx(5.0, rel=1e-6)


def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    points = np.random.default_rng(0).normal(size=(7, 4)) * [4.0, 2.0, 1.0, 0.1]
    weights = np.arange(1.0, 8.0) / 28
    values = np.linalg.svd(np.sqrt(weights)[:, None] * points, compute_uv=False)
    tokens = mf.Tokens(mf.Euclidean(4), points, weights)
    share = values / values.sum()
    assert float(effective_rank(tokens)) == pytest.approx(np.exp(-share @ np.log(share)), rel=1e-12)
    assert float(participation_rank(tokens)) == pytest.approx((values**2).sum() ** 2 / (values**4).sum(), rel=1e-12)


@pytest.mark.parametrize("rank", [effective_rank, participation_rank])
@pytest.mark.parametrize("centred", [False, True])
def test_rank_is_a_functional_of_the_measure(rank, centred):
    points = np.random.default_rng(1).normal(size=(5, 3))
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    once = mf.Tokens(mf.Euclidean(3), points)
    # one token split in two, and one without mass
    again = np.concatenate([points, points[:1], 9 * points[:1]]) @ rotation
    twice = mf.Tokens(mf.Euclidean(3), again, [0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.0])
    assert float(rank(once, centred=centred)) == pytest.approx(float(rank(twice, centred=centred)), rel=1e-12)
    assert float(rank(once, centred=centred)) == pytest.approx(
        float(rank(mf.Tokens(mf.Euclidean(3), 1e200 * points), centred=centred)), rel=1e-12
    )


@pytest.mark.parametrize("rank", [effective_rank, participation_rank])
def test_rank_has_a_gradient_where_singular_values_meet_or_vanish(rank):
    for tokens in (mf.equiangular(n=4, cosine=0.0), mf.equiangular(n=4, cosine=1.0)):
        gradient = jax.grad(lambda points, mu=tokens: rank(mu.replace(points=points)))(tokens.points)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("rank", [effective_rank, participation_rank])
def test_rank_of_nothing_is_zero(rank):
    assert float(rank(mf.Tokens(mf.Euclidean(2), np.zeros((3, 2))))) == 0.0
