"""Closures on the sphere: at the start, when tokens are independent, both are exact under USA."""

from __future__ import annotations

import numpy as np

from measureflow.claims.instances import normalised
from measureflow.claims.p2312_10794.open_closures import N, errors, evolved, speed, third_token

BETA = 1.0


def test_closures_are_exact_for_independent_tokens_and_no_longer_later():
    rng = np.random.default_rng(0)
    points = normalised(rng.normal(size=(5000, N, 3)))
    u = np.linspace(-0.999, 0.999, 41)
    _, superposed, uniform = errors(points, BETA, False, u)
    assert max(superposed, uniform) < 0.05  # the sampling error of 5,000 replicas
    cosine, _, uniform = errors(evolved(points, BETA, False, 2.0), BETA, False, u)
    assert cosine > 0.3
    assert uniform > 0.2


def test_a_third_token_is_drawn_to_where_the_pair_law_says():
    u = np.array([-0.5, 0.0, 0.5])
    pulled, weight = third_token(np.array([1.0, 0.0, 0.0]), BETA, u)
    assert np.abs(pulled).max() < 1e-14
    assert np.allclose(weight, np.sinh(BETA) / BETA, rtol=1e-12)
    assert third_token(np.array([1.0, 0.3, 0.0]), BETA, u)[0].min() > 0.05  # towards both tokens


def test_velocities_are_tangent_and_softmax_is_normalised():
    x = normalised(np.random.default_rng(2).normal(size=(3, N, 3)))
    for softmax in (False, True):
        assert np.abs((speed(x, BETA, softmax) * x).sum(axis=2)).max() < 1e-14
    assert np.linalg.norm(speed(x, 50.0, True), axis=2).max() <= 1.0
