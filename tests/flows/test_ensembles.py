from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import ensembles

TIMES = [0.0, 1.0, 3.0]


def clouds(count: int, n: int, d: int) -> mf.Tokens:
    points = np.random.default_rng(0).normal(size=(count, n, d))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    return jax.vmap(lambda x: mf.Tokens(mf.Sphere(d), points[0]).replace(points=x))(points)


def alone(tokens: mf.Tokens, k: int, field: mf.Field) -> mf.Path:
    own = jax.tree.map(lambda leaf: leaf[k], tokens)
    return mf.flow(own, field, until=3.0, save=TIMES, record=["overlap"], solver=mf.Adaptive(1e-9, 1e-11))


def one_by_one(tokens: mf.Tokens, fields: list[mf.Field]) -> np.ndarray:
    return np.array([alone(tokens, k, field).recorded["overlap"] for k, field in enumerate(fields)])


def test_clouds_move_as_each_would_alone_whatever_the_chunk(monkeypatch):
    tokens, field = clouds(5, 3, 6), mf.SelfAttention(2.0)
    whole = mf.flows.ensemble(tokens, field, save=TIMES, record="overlap")
    assert whole.resolved.all()
    np.testing.assert_array_equal(whole.times, TIMES)
    np.testing.assert_allclose(whole.recorded["overlap"], one_by_one(tokens, [field] * 5), atol=1e-5)
    monkeypatch.setattr(ensembles, "CHUNK_NUMBERS", {"cpu": 2 * 3 * 3})
    assert ensembles.clouds_at_once(5, 3, 6) == 2
    parts = mf.flows.ensemble(tokens, field, save=TIMES, record="overlap")
    np.testing.assert_allclose(parts.recorded["overlap"], whole.recorded["overlap"], atol=1e-13)


def test_last_points_are_those_of_each_cloud_in_its_own_space():
    tokens, field = clouds(5, 3, 6), mf.SelfAttention(2.0)
    assert mf.flows.ensemble(tokens, field, save=TIMES, record="overlap").points is None
    kept = mf.flows.ensemble(tokens, field, save=TIMES, record="overlap", keep=True).points
    np.testing.assert_allclose(kept[4], alone(tokens, 4, field).points[-1], atol=1e-5)


def test_each_cloud_may_have_a_field_of_its_own():
    tokens, betas = clouds(5, 3, 6), np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    fields = jax.vmap(lambda beta: mf.SelfAttention(beta))(betas)
    moved = mf.flows.ensemble(tokens, fields, save=TIMES, record="overlap", varies=True)
    apart = one_by_one(tokens, [mf.SelfAttention(float(beta)) for beta in betas])
    np.testing.assert_allclose(moved.recorded["overlap"], apart, atol=1e-5)


def test_clouds_move_under_a_normalisation():
    tokens, field = clouds(2, 3, 6), mf.SelfAttention(2.0)
    moved = mf.flows.ensemble(tokens, field, save=TIMES, record="overlap", normalisation=mf.NGPT())
    own = jax.tree.map(lambda leaf: leaf[1], tokens)
    path = mf.flow(own, field, until=3.0, save=TIMES, record=["overlap"], normalisation=mf.NGPT())
    np.testing.assert_allclose(moved.recorded["overlap"][1], path.recorded["overlap"], atol=1e-5)


def test_clouds_are_shaken_each_by_its_own_noise():
    tokens, field = clouds(3, 3, 6), mf.SelfAttention(2.0)
    same = jax.tree.map(lambda leaf: leaf[np.array([0, 0, 1])], tokens)
    options = {"save": [0.0, 0.1], "record": "overlap", "noise": 0.2, "solver": mf.Splitting(0.05)}
    moved = mf.flows.ensemble(same, field, seed=5, **options).recorded["overlap"]
    assert moved[0, 1] != moved[1, 1]
    keys = jax.vmap(lambda k: jax.random.fold_in(jax.random.key(5), k))(np.arange(3))
    np.testing.assert_array_equal(mf.flows.ensemble(same, field, seed=keys, **options).recorded["overlap"], moved)
    own = jax.tree.map(lambda leaf: leaf[2], same)
    path = mf.flow(own, field, until=0.1, seed=keys[2], **{**options, "record": ["overlap"]})
    np.testing.assert_allclose(moved[2], path.recorded["overlap"], atol=1e-12)
    with pytest.raises(mf.BadInput, match="2 keys for 3 clouds"):
        mf.flows.ensemble(same, field, seed=keys[:2], **options)
    with pytest.raises(mf.BadInput, match="noise needs a seed"):
        mf.flows.ensemble(same, field, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": mf.equiangular(n=3, cosine=0.1)}, "a leading axis of clouds"),
        ({"record": ()}, "record= is empty"),
        ({"save": [1.0, 0.5]}, "strictly increasing"),
    ],
)
def test_bad_ensembles_are_refused(options, said):
    given = {"tokens": clouds(2, 3, 3), "field": mf.SelfAttention(1.0), "save": TIMES, "record": "overlap", **options}
    with pytest.raises(mf.BadInput, match=said):
        mf.flows.ensemble(given.pop("tokens"), given.pop("field"), **given)
