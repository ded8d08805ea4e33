from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow.paths.gaussians import ELLIPSES, spread_out


@pytest.mark.parametrize("cov", [np.diag([1.0, 0.5, 0.2]), [[2.0]]])
def test_picture_of_a_gaussian_shows_ellipses_and_every_variance(cov):
    d = len(cov)
    gaussian = mf.Gaussian(mean=np.full(d, 0.5), cov=cov)
    path = mf.flow(gaussian, mf.SelfAttention(beta=1.0, query=-0.5), until=4.0, save=12)
    left, right = path.plot("gaussian.png").axes
    assert len(left.lines) <= ELLIPSES + 1
    assert len(right.lines) == d  # and no blow-up
    np.testing.assert_allclose(right.lines[0].get_ydata(), np.linalg.eigvalsh(np.asarray(path.cov))[:, -1])
    assert right.get_xlabel()
    assert left.get_ylabel()


def test_ellipses_are_apart_in_size_and_none_hides_the_others():
    chosen = spread_out(np.array([1.0, 1.0, 2.0, 8.0, 100.0, 1e9, 1e200]))
    assert chosen[0] == 0
    assert chosen[-1] == 4
