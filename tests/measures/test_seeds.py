from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf

LAWS = {
    "uniform": lambda seed: mf.uniform(mf.Sphere(3), 8, seed=seed),
    "flat uniform": lambda seed: mf.uniform(mf.Euclidean(3), 8, seed=seed),
    "cap": lambda seed: mf.cap(mf.Sphere(3), 8, angle=0.5, seed=seed),
    "von Mises-Fisher": lambda seed: mf.von_mises_fisher(mf.Sphere(3), 8, kappa=2.0, seed=seed),
    "gaussian": lambda seed: mf.gaussian(mf.Euclidean(3), 8, seed=seed),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_one_seed_gives_one_draw_whatever_its_kind(law):
    drawn = law(7).points
    for same in (7, np.int64(7), np.uint8(7), jax.random.key(7)):
        np.testing.assert_array_equal(law(same).points, drawn)
    np.testing.assert_array_equal(law(jax.random.PRNGKey(7)).points, drawn)  # the old kind of key
    for other in (8, 2**40, 2**63 - 1, jax.random.split(jax.random.key(7))[0]):
        assert np.abs(np.asarray(law(other).points) - np.asarray(drawn)).max() > 0.01


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "0", None, True, np.array([1, 2])])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(mf.BadInput, match=r"seed is .*; it must be an integer in \[0, 2\^63\) or one JAX key"):
        mf.uniform(mf.Sphere(3), 4, seed=seed)


def test_many_keys_are_no_seed():
    with pytest.raises(mf.BadInput, match="or one JAX key"):
        mf.uniform(mf.Sphere(3), 4, seed=jax.random.split(jax.random.key(0)))
