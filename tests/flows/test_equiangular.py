from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from measureflow import theory
from measureflow.flows import equiangular

SHARP = mf.Adaptive(rtol=1e-12, atol=1e-13, pair="dopri8", coarsen=False)


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
@pytest.mark.parametrize(("n", "start"), [(2, -0.9), (10**7, 0.3)])
def test_curve_is_the_quadrature_of_theory(model, n, start):
    field = mf.SelfAttention(beta=3.0, weighting=model)
    curve = equiangular(n, field, cosine=start, until=20.0, save=6)
    stated = theory.gap_of_equiangular_tokens(np.asarray(curve.times), n=n, beta=3.0, start=start, model=model)
    np.testing.assert_allclose(curve.gap, stated, rtol=1e-10)  # to the last digits of gaps of 1e-200
    np.testing.assert_allclose(curve.energy, (1 + (n - 1) * np.exp(-3.0 * stated)) / n, rtol=1e-10)


@pytest.mark.parametrize("value", [1.0, -0.5])
def test_common_cosine_is_that_of_n_bodies(value):
    shifted = mf.fields.Unnormalised(shifted=True)
    field = mf.SelfAttention(beta=3.0, query=0.5, value=value) + mf.SelfAttention(beta=1.0, weighting=shifted)
    curve = equiangular(8, field, cosine=0.3, until=3.0, save=5)
    bodies = mf.flow(mf.equiangular(n=8, cosine=0.3), field, until=3.0, save=5, solver=SHARP)
    np.testing.assert_allclose(mf.observe.cosines(bodies), np.tile(curve.cosine[:, None], 28), rtol=0, atol=1e-11)
    np.testing.assert_allclose(mf.observe.cosine(curve[-1]), curve.cosine[-1], rtol=0, atol=1e-13)
    assert len(curve) == 5
    assert "8 tokens" in repr(curve)


def cosine_at_the_end(beta, start, until):
    return equiangular(32, mf.SelfAttention(beta=beta), cosine=start, until=until, save=2).cosine[-1]


@pytest.mark.slow
def test_phase_diagram_is_a_batch_and_has_derivatives():
    betas = jnp.array([0.5, 2.0, 4.0])
    ends = hasty_jit(jax.vmap(jax.value_and_grad(cosine_at_the_end, argnums=(0, 1, 2)), in_axes=(0, None, None)))
    found, slopes = ends(betas, 0.1, 2.0)

    def stated(beta, start, until):
        return float(theory.cosine_of_equiangular_tokens(until, n=32, beta=float(beta), start=start))

    for beta, end, by_beta, by_start, by_time in zip(betas, found, *slopes, strict=True):
        assert float(end) == pytest.approx(stated(beta, 0.1, 2.0), abs=1e-11)
        for slope, move in ((by_beta, (1, 0, 0)), (by_start, (0, 1, 0)), (by_time, (0, 0, 1))):
            h = 1e-5 * np.array(move)
            there, back = (stated(*(np.array([beta, 0.1, 2.0]) + sign * h)) for sign in (1, -1))
            assert float(slope) == pytest.approx((there - back) / 2e-5, rel=1e-5)


def test_what_is_not_equiangular_is_refused():
    field = mf.SelfAttention(beta=3.0)
    with pytest.raises(mf.BadInput, match="at least 2 tokens"):
        equiangular(1, field, until=1.0)
    with pytest.raises(mf.BadInput, match=r"cosine is -0\.5; it must lie in"):
        equiangular(3, field, cosine=-0.5, until=1.0)
    with pytest.raises(mf.BadInput, match="under a mask"):
        equiangular(3, mf.SelfAttention(beta=1.0, mask="causal"), until=1.0)
    with pytest.raises(mf.BadInput, match="no energy is written out"):
        _ = equiangular(3, mf.SelfAttention(beta=1.0, query=0.5), until=1.0, save=2).energy
