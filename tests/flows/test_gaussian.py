from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from measureflow import theory
from measureflow.flows.closed import move
from measureflow.paths import STATUSES

DRAW = np.random.default_rng(0)
QUERY, KEY = DRAW.normal(size=(2, 3, 3))
FORM = QUERY.T @ KEY
ROOT = DRAW.normal(size=(3, 3)) / 2
LAW = mf.Gaussian([0.3, -0.2, 0.1], ROOT @ ROOT.T)
FIELD = mf.SelfAttention(beta=1.0, query=QUERY, key=KEY)
END = theory.blow_up_time_of_gaussian(LAW.cov, FORM)


@pytest.fixture(scope="module")
def path() -> mf.Path:
    """Up to its blow-up."""
    return mf.flow(LAW, FIELD, until=3 * END, save=END * np.array([0.0, 0.3, 0.6, 0.9, 3.0]), record=trace_of)


def trace_of(law):
    return jnp.trace(law.cov)


def test_covariance_is_the_closed_form_and_explodes_when_it_says(path):
    assert path.status == "blow-up"
    assert float(path.times[-1]) == pytest.approx(END, rel=1e-10)
    stated = theory.covariance_of_gaussian(path.times[:-1], LAW.cov, FORM)
    np.testing.assert_allclose(path.cov[:-1], stated, rtol=0, atol=1e-10 * np.abs(stated).max())
    assert np.isfinite(path.cov).all()
    assert np.isfinite(path.mean).all()
    assert float(path.cov[-1].max()) > 1e100
    np.testing.assert_allclose(path.recorded["trace_of"], np.trace(path.cov, axis1=1, axis2=2), rtol=1e-14)


def test_path_of_a_gaussian_is_kept_like_any_other(path):
    assert isinstance(path[0], mf.Gaussian)
    np.testing.assert_array_equal(path[0].mean, LAW.mean)
    np.testing.assert_allclose(path[0].cov, LAW.cov, rtol=0, atol=1e-16)
    path.save("law.zarr")
    again = mf.Path.load("law.zarr")
    np.testing.assert_array_equal(again.cov, path.cov)
    assert again.status == "blow-up"
    assert path.to_xarray().sizes == {"depth": 5, "coordinate": 3, "beside": 3}
    assert repr(path).startswith("Path: a Gaussian on R^3")
    with pytest.raises(mf.BadInput, match="which has no points"):
        _ = path.points


@pytest.mark.parametrize(
    "field",
    [
        mf.SelfAttention(beta=0.7, query=QUERY, key=KEY, value=ROOT, score="l2"),
        mf.Schedule([mf.MultiHead([FIELD, mf.SelfAttention(beta=0.5, value=-1.0)]), FIELD], [0.0, 0.1]),
    ],
)
def test_mean_and_covariance_follow_their_equations(field):
    def rate(mean, cov, t):
        shift, slope = field.at(t).affine(mf.Gaussian(mean, cov))
        return np.asarray(shift + slope @ mean), np.asarray(slope @ cov + cov @ slope.T)

    h = 1e-3
    path = mf.flow(LAW, field, until=0.2, save=0.2 - h * np.arange(3.0)[::-1])
    mean, cov = np.asarray(path.mean), np.asarray(path.cov)
    np.testing.assert_allclose((mean[2] - mean[0]) / (2 * h), rate(mean[1], cov[1], 0.19)[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((cov[2] - cov[0]) / (2 * h), rate(mean[1], cov[1], 0.19)[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(cov, np.swapaxes(cov, 1, 2))


def test_many_tokens_follow_the_gaussian():
    until = 0.3 * END
    tokens = LAW.sample(600, seed=3)
    points = np.asarray(tokens.points)
    # the Gaussian of the draw's own moments: what is left is of order 1/n and of higher moments
    law = mf.Gaussian(points.mean(axis=0), np.cov(points.T, bias=True))
    law = mf.flow(law, FIELD, until=until, save=[until])[0]
    loose = mf.Adaptive(rtol=1e-5, atol=1e-5, coarsen=False)
    points = np.asarray(mf.flow(tokens, FIELD, until=until, save=[until], solver=loose).points[-1])
    assert np.abs(points.mean(axis=0) - law.mean).max() < 0.05 * np.abs(law.mean).max()
    assert np.abs(np.cov(points.T, bias=True) - law.cov).max() < 0.1 * np.abs(law.cov).max()


def test_rank_is_kept():
    flat = mf.Gaussian(np.zeros(3), ROOT[:, :1] @ ROOT[:, :1].T)
    end = theory.blow_up_time_of_gaussian(flat.cov, FORM)
    until = min(0.9 * end, 3.0)
    values = np.linalg.eigvalsh(mf.flow(flat, FIELD, until=until, save=[until]).cov[-1])
    assert np.abs(values[:2]).max() < 1e-14 * values[2]


@pytest.mark.slow
def test_gradient_with_respect_to_the_covariance_is_a_difference_quotient():
    @hasty_jit
    @jax.value_and_grad
    def loss(scale):
        law = mf.Gaussian(LAW.mean, scale * LAW.cov)
        return jnp.trace(mf.flow(law, FIELD, until=0.3 * END, save=[0.3 * END]).cov[-1])

    _, slope = loss(1.0)
    there, back = (float(loss(1.0 + h)[0]) for h in (1e-5, -1e-5))
    assert float(slope) == pytest.approx((there - back) / 2e-5, rel=1e-7)


def test_what_has_no_closed_form_is_refused():
    for wrong in (mf.SelfAttention(1.0, weighting="unnormalised"), mf.SelfAttention(1.0, mask="causal")):
        with pytest.raises(mf.BadInput, match="no closed form under a Gaussian"):
            mf.flow(LAW, wrong, until=1.0)
    with pytest.raises(mf.BadInput, match=r"noise=0\.1 is not for a Gaussian"):
        mf.flow(LAW, FIELD, until=1.0, noise=0.1, seed=0)
    with pytest.raises(mf.BadInput, match="this observable is one of Tokens"):
        mf.flow(LAW, FIELD, until=1.0, record=("cosine",))
    with pytest.raises(mf.BadInput, match="field is 3"):
        mf.flow(LAW, 3, until=1.0)


CENTRED = mf.Gaussian(np.zeros(3), LAW.cov)
SINKING = mf.SelfAttention(beta=1.0, query=QUERY, key=-QUERY)


def test_a_law_waits_for_rest_and_for_a_spread():
    rest = mf.flow(CENTRED, SINKING, until=mf.Stationary(1e-4), save=3)
    assert rest.status == "stationary"
    slope = np.asarray(SINKING.affine(rest[-1])[1]) @ np.asarray(rest.cov[-1])
    assert 1e-5 < np.linalg.norm(slope + slope.T) <= 1e-4
    for start, field, value in ((CENTRED, SINKING, 0.5), (CENTRED, FIELD, 20.0)):
        path = mf.flow(start, field, until=mf.Spread(value * float(jnp.trace(LAW.cov))), save=2)
        assert path.status == "reached"
        assert float(jnp.trace(path.cov[-1]) / jnp.trace(LAW.cov)) == pytest.approx(value, rel=1e-12)
        form = np.asarray(field.kernel.query).T @ np.asarray(field.kernel.key)
        stated = theory.covariance_of_gaussian(path.times[-1], LAW.cov, form)
        np.testing.assert_allclose(path.cov[-1], stated, rtol=0, atol=1e-9 * np.abs(stated).max())


def test_a_law_that_explodes_first_says_so():
    path = mf.flow(CENTRED, FIELD, until=mf.Stationary(1e-9), save=2)
    assert path.status == "blow-up"
    assert np.isfinite(path.cov).all()


def test_a_law_has_no_tokens_to_wait_for():
    with pytest.raises(mf.BadInput, match=r"is a condition on tokens; a Gaussian waits for a time, mf\.Stationary"):
        mf.flow(LAW, FIELD, until=mf.Consensus(1e-3))
    with pytest.raises(mf.BadInput, match="the field changes with depth"):
        mf.flow(LAW, mf.Schedule([FIELD, FIELD], [0.0, 1.0]), until=mf.Spread(1.0))


def test_a_law_is_stored_whole_and_read_again(monkeypatch):
    first = mf.flow(CENTRED, SINKING, until=1.0, save=3, store="law.zarr")
    monkeypatch.setattr("measureflow.flows.gaussian.move", None)  # nothing is run again
    again = mf.flow(CENTRED, SINKING, until=1.0, save=3, store="law.zarr")
    np.testing.assert_array_equal(first.cov, again.cov)
    assert (again.status, again.recipe) == ("reached", first.recipe)
    with pytest.raises(mf.BadInput, match=r"store law\.zarr holds another run"):
        mf.flow(LAW, SINKING, until=1.0, save=3, store="law.zarr")
    with pytest.raises(mf.BadInput, match=r"the folder .*nowhere does not exist"):
        mf.flow(CENTRED, SINKING, until=1.0, store="nowhere/law.zarr")


def test_an_interrupted_law_leaves_no_store(monkeypatch):
    part = 0.5

    def interrupted(*rows, **options):
        path = move(*rows, **options)
        return dataclasses.replace(path, times=part * path.times, code=jnp.asarray(STATUSES.index("stopped")))

    monkeypatch.setattr("measureflow.flows.gaussian.move", interrupted)
    assert mf.flow(CENTRED, SINKING, until=1.0, save=3, store="cut.zarr").status == "stopped"
    assert not Path("cut.zarr").exists()
    part = 1.0  # a wait that was given up at its cap is a whole run
    mf.flow(CENTRED, SINKING, until=1.0, save=3, store="whole.zarr")
    assert Path("whole.zarr").exists()
