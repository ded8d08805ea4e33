from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf

COV = np.array([[2.0, 0.5], [0.5, 1.0]])


def test_tilt_is_the_mean_under_exponential_weights():
    law, a = mf.Gaussian([0.3, -0.2], COV), np.array([[0.4, -0.3], [0.0, 1.0]])
    x = np.linspace(-12.0, 12.0, 401)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    off = grid - np.asarray(law.mean)
    density = np.exp(-0.5 * np.einsum("gi,ij,gj->g", off, np.linalg.inv(COV), off))
    for k in range(2):
        weights = density * np.exp(grid @ a[k])
        np.testing.assert_allclose(law.tilt(a)[k], weights @ grid / weights.sum(), rtol=0, atol=1e-10)


def test_sample_is_the_law_of_that_name():
    law = mf.Gaussian([1.0, -1.0], COV)
    drawn = law.sample(20_000, seed=5)
    np.testing.assert_array_equal(
        drawn.points, mf.gaussian(mf.Euclidean(2), 20_000, mean=[1.0, -1.0], covariance=COV, seed=5).points
    )
    np.testing.assert_allclose(drawn.points.mean(axis=0), [1.0, -1.0], atol=5 * np.sqrt(2 / 20_000))
    np.testing.assert_allclose(np.cov(np.asarray(drawn.points).T), COV, atol=5 * 3 / np.sqrt(20_000))


def test_a_number_is_a_multiple_of_the_identity_and_a_flat_law_is_one():
    np.testing.assert_array_equal(mf.Gaussian([0.0, 0.0], 0.5).cov, 0.5 * np.eye(2))
    line = mf.Gaussian([0.0, 0.0], np.array([[1.0, 1.0], [1.0, 1.0]])).sample(10)
    np.testing.assert_allclose(line.points[:, 0], line.points[:, 1], atol=1e-15)
    assert repr(mf.Gaussian([0.0, 0.0], 0.5)) == "Gaussian(Euclidean(d=2))"


@pytest.mark.parametrize(
    ("mean", "cov", "words"),
    [
        ([0.0, 0.0], np.eye(3), r"cov has shape \(3, 3\) and the mean is in R\^2"),
        ([0.0, 0.0], [[1.0, 1.0], [0.0, 1.0]], "not symmetric"),
        ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "has the eigenvalue -1"),
        ([0.0, np.nan], 1.0, "every number must be finite"),
        ("zero", 1.0, "must be made of real numbers"),
        ([[0.0]], 1.0, r"mean has shape \(1, 1\)"),
    ],
)
def test_what_is_no_gaussian_is_refused(mean, cov, words):
    with pytest.raises(mf.BadInput, match=words):
        mf.Gaussian(mean, cov)


def test_no_sample_of_nothing():
    with pytest.raises(mf.BadInput, match="n is 0"):
        mf.Gaussian([0.0], 1.0).sample(0)
