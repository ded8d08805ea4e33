from __future__ import annotations

import math

import numpy as np
import pytest

from measureflow import BadInput, theory

RNG = np.random.default_rng(0)
POINTS, FORM, VALUE = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
MINUS = [[-1.0]]


def attention(x: np.ndarray, causal: bool) -> np.ndarray:
    logits = x @ FORM.T @ x.T
    weights = np.exp(logits) * (np.tri(len(x)) if causal else 1.0)
    return weights / weights.sum(axis=1, keepdims=True) @ x @ VALUE.T


@pytest.mark.parametrize("causal", [False, True])
def test_jacobian_is_the_difference_quotient(causal):
    h, found = 1e-5, theory.jacobian_of_attention(POINTS, form=FORM, value=VALUE, causal=causal)
    columns = [
        (attention(POINTS + h * e.reshape(5, 3), causal) - attention(POINTS - h * e.reshape(5, 3), causal)) / (2 * h)
        for e in np.eye(15)
    ]
    np.testing.assert_allclose(found, np.stack([c.ravel() for c in columns], axis=1), rtol=0, atol=1e-6)
    batch = theory.jacobian_of_attention(np.stack([POINTS, 2 * POINTS]), form=FORM, value=VALUE, causal=causal)
    np.testing.assert_allclose(batch[0], found, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("n", "exact", "lower"),
    [(2, 1.174, 1.038), (20, 6.661, 6.422), (100, 16.159, 15.907), (200, 18.142, 18.007), (400, 17.220, 17.177)],
)
def test_adversarial_tokens_have_the_constants_of_the_table(n, exact, lower):
    points = theory.adversarial_tokens(n, form=MINUS, radius=1.5)
    found = np.linalg.norm(theory.jacobian_of_attention(points, form=MINUS), 2)
    assert found == pytest.approx(exact, abs=6e-4)
    assert theory.lipschitz_of_adversarial_tokens(n, form=MINUS, radius=1.5) == pytest.approx(lower, abs=6e-4)
    assert found <= theory.local_lipschitz_of_attention(points, form=MINUS)
    assert found <= theory.lipschitz_of_attention(n, form=MINUS, radius=1.5)
    assert found <= theory.lipschitz_of_measures(form=MINUS, radius=1.5, n=n, p=2) <= 28.64


def test_bounds_agree_where_there_are_no_scores():
    assert theory.lipschitz_of_measures(form=0.0, value=2.0, radius=3.0) == 2.0
    assert theory.lipschitz_of_measures(form=0.0, value=2.0, radius=3.0, p=2) == 2.0
    assert theory.lipschitz_of_attention(4, form=0.0, value=2.0, radius=3.0) == pytest.approx(2 * math.sqrt(12))
    assert theory.lipschitz_of_causal_attention(form=0.0, radius=1.0, p=4.0) == pytest.approx(4 / 3)


def test_bounds_are_ordered():
    for size in (0.01, 0.3, 2.0, 20.0):
        first, second = (theory.lipschitz_of_measures(form=size, radius=1.0, p=p) for p in (1, 2))
        assert second <= first
        assert theory.lipschitz_of_measures(form=size, radius=1.0, p=2, n=3) <= second
        printed, better = (
            theory.lipschitz_of_attention(7, form=size, radius=1.0, printed=one) for one in (True, False)
        )
        assert better < printed
    assert theory.lipschitz_of_measures(form=1e6, radius=1.0) == math.inf


def test_matrices_count_by_their_spectral_norm():
    size = np.linalg.norm(FORM, 2)
    assert theory.lipschitz_of_attention(4, form=FORM, value=VALUE, radius=1.0) == pytest.approx(
        np.linalg.norm(VALUE, 2) * theory.lipschitz_of_attention(4, form=size, radius=1.0)
    )


@pytest.mark.parametrize("shift", [None, np.array([3.0, -2.0, 5.0])])
def test_local_bound_holds_for_forms_without_symmetry_and_with_a_shift(shift):
    """Where A is not symmetric |Ax| alone does not bound: the keys see the transpose."""
    nilpotent = np.zeros((3, 3))
    nilpotent[0, 1] = 30.0
    broken = 0
    for form in (FORM, nilpotent, 10 * FORM):
        for k in range(40):
            x = np.random.default_rng(k).normal(size=(5, 3)) * [1.0, 0.02, 1.0]
            logits = (x @ form.T + (0.0 if shift is None else shift)) @ x.T
            rows = theory.gibbs_law(logits, np.ones(5))
            # a shift changes the weights alone: the Jacobian from the rows themselves
            centred = x[None] - (rows @ x)[:, None]
            spread = np.einsum("ij,ija,ijb->iab", rows, centred, centred)
            there = x @ form.T + (0.0 if shift is None else shift)
            blocks = np.einsum("ij,ab->iajb", rows, np.eye(3)) + np.einsum("ij,ija,ib->iajb", rows, centred, there)
            blocks[np.arange(5), :, np.arange(5)] += spread @ form
            found = np.linalg.norm(blocks.reshape(15, 15), 2)
            assert found <= theory.local_lipschitz_of_attention(x, form=form, shift=shift)
            wide = ((x[:, None] - x) ** 2).sum(axis=-1).max()
            broken += found > math.sqrt(3.0 * ((there**2).sum(axis=1).max() * wide * 6 + 5))
    if shift is None:
        assert broken > 0  # the formula of the released code, with the sqrt 3 that it lacks: |Ax| alone, no transpose


def test_far_out_one_token_is_copied_by_three():
    points = np.random.default_rng(3).normal(size=(8, 2))
    limit = theory.lipschitz_at_large_radius(points, form=np.eye(2))
    found = np.linalg.norm(theory.jacobian_of_attention(100 * points, form=np.eye(2)), 2)
    assert found == pytest.approx(limit, rel=1e-9)
    assert 1 < limit <= math.sqrt(8)


@pytest.mark.parametrize(("n", "one", "two"), [(10, 2.93, 1.410), (100, 5.19, 1.630), (1000, 7.49, 1.748)])
def test_prefix_means_have_the_norms_of_the_table(n, one, two):
    assert theory.norms_of_prefix_means(n) == pytest.approx((one, two), abs=6e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.lipschitz_of_measures(form=1.0, radius=-1.0), "radius is -1"),
        (lambda: theory.lipschitz_of_measures(form=-1.0, radius=1.0), "form is -1"),
        (lambda: theory.lipschitz_of_measures(form=1.0, radius=1.0, p=0.5), "p is 0.5"),
        (lambda: theory.lipschitz_of_attention(0, form=1.0, radius=1.0), "n is 0"),
        (lambda: theory.lipschitz_of_causal_attention(form=1.0, radius=1.0, p=1.0), "p is 1.0"),
        (lambda: theory.adversarial_tokens(3, form=[[0.0, 1.0], [-1.0, 0.0]], radius=1.0), "no real eigenvalue"),
        (lambda: theory.adversarial_tokens(1, form=MINUS, radius=1.0), "n is 1"),
    ],
)
def test_bounds_of_nothing_are_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()
