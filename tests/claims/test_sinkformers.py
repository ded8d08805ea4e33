"""The experiments on Sinkformers: their data, that training trains, and what is reported of it."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow.claims.p2110_11773.training import SHAPES, Recipe, digits, point_sets, train
from measureflow.fields import Sinkhorn


def test_point_sets_show_nothing_but_their_shape():
    data = point_sets(np.random.default_rng(0), (60, 40))
    sets = np.concatenate([data.train, data.test])
    np.testing.assert_allclose(sets.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose((sets**2).sum(axis=2).mean(axis=1), 1.0, rtol=1e-5)
    assert set(np.concatenate([data.train_labels, data.test_labels])) == set(range(len(SHAPES)))
    assert not data.ordered


def test_digits_are_patches_and_no_image_is_in_both_sets():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits

    data = digits(np.random.default_rng(0), (900, 800))
    assert data.train.shape == (900, 16, 4)
    patch = (load_digits().images[:, :2, :2].reshape(-1, 4) / 8.0 - 1.0).astype(np.float32)
    assert {tuple(one) for one in data.train[:, 0].tolist()} <= {tuple(one) for one in patch.tolist()}
    both = [tuple(one.ravel().tolist()) for one in (*data.train, *data.test)]
    assert len(set(both)) == len(both)


def test_training_trains_and_looks_before_the_first_step():
    """The shapes of the smoke tier, so that they share its program."""
    data = point_sets(np.random.default_rng(1), (96, 96))
    result = train(data, Sinkhorn(iterations=3), Recipe(epochs=2), np.arange(2))
    assert result.accuracy.shape == (2, 3)
    assert result.columns.shape == (2, 3, 64, 16)
    # the first look is at weights that the seed alone decides, whatever the training sets
    other = train(data._replace(train=-data.train), Sinkhorn(iterations=3), Recipe(epochs=2), np.arange(2))
    np.testing.assert_array_equal(result.columns[:, 0], other.columns[:, 0])
    assert np.abs(result.columns[:, 2] - other.columns[:, 2]).max() > 1e-3
    np.testing.assert_allclose(result.columns.mean(axis=-1), 1.0, atol=1e-5)  # rows are exact
