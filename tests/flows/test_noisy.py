"""Noise: Brownian motion is that of the heat kernel, the splitting has weak order 2, and a seed is a path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows.noisy import brownian


def at_pole(d, n):
    return mf.Tokens(mf.Sphere(d), np.eye(d)[[0] * n])


class Rest(mf.Field):
    """No drift."""

    def output(self, x, mu, positions=None):
        return jnp.zeros_like(x)


def moments(x):
    """First two harmonics of the angle to the pole, and their standard errors."""
    cosines = np.asarray(x[:, 0])
    second = cosines**2
    return [(v.mean(), v.std() / np.sqrt(len(v))) for v in (cosines, second)]


def heat_kernel(d, s):
    """E cos and E cos^2 at time s: eigenvalues d - 1 and 2 d of the Laplacian."""
    return np.exp(-(d - 1) * s), 1 / d + (1 - 1 / d) * np.exp(-2 * d * s)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_noise_alone_is_the_heat_kernel(d):
    path = mf.flow(
        at_pole(d, 100_000), Rest(), until=0.5, save=[0.5], keep="last", noise=0.6, seed=1, solver=mf.Splitting(0.02)
    )
    for (mean, error), expected in zip(moments(path.points[-1]), heat_kernel(d, 0.3), strict=True):
        assert abs(mean - expected) < 4 * error


def test_one_brownian_step_errs_at_third_order_and_the_plain_geodesic_walk_at_second():
    # by quadrature over |xi|, which is chi with d - 1 degrees of freedom: no sampling error
    d, nodes = 5, np.linspace(0, 12, 40001)
    density = nodes ** (d - 2) * np.exp(-(nodes**2) / 2)
    density /= density.sum()

    def error(s, corrected):
        factor = np.exp(-(d - 2) * s / 6) if corrected else 1.0
        return abs((density * np.cos(np.sqrt(2 * s) * factor * nodes)).sum() - np.exp(-(d - 1) * s))

    order = np.log2(error(0.02, True) / error(0.01, True))
    plain = np.log2(error(0.02, False) / error(0.01, False))
    assert abs(order - 3) < 0.15
    assert abs(plain - 2) < 0.15


def test_brownian_steps_have_the_length_that_the_quadrature_assumes():
    s, d = 0.05, 5
    x = np.asarray(brownian(mf.Sphere(d), jax.random.key(0), at_pole(d, 200_000).points, jnp.asarray(s)))
    angle = np.arccos(np.clip(x[:, 0], -1, 1))
    expected = 2 * s * np.exp(-(d - 2) * s / 3) * (d - 1)
    assert abs((angle**2).mean() - expected) < 4 * (angle**2).std() / np.sqrt(len(angle))


def test_weak_order_of_the_splitting_is_two():
    """A common random walk at steps h and h/2 differs in the mean; the error against a fine run falls fourfold."""

    class Pull(mf.Field):
        """Tokens drawn to the pole, each by itself: samples of one law."""

        def output(self, x, mu, positions=None):
            return jnp.broadcast_to(3.0 * jnp.eye(x.shape[1])[0], x.shape)

    def mean(step):
        tokens = mf.Tokens(mf.Sphere(3), np.eye(3)[[1] * 400_000])
        path = mf.flow(tokens, Pull(), until=0.8, save=[0.8], noise=0.5, seed=3, solver=mf.Splitting(step))
        cosines = np.asarray(path.points[-1, :, 0])
        return cosines.mean(), cosines.std() / np.sqrt(len(cosines))

    (fine, error), (rough, _), (middle, _) = mean(0.04), mean(0.4), mean(0.2)
    ratio = (rough - fine) / (middle - fine)
    assert abs(middle - fine) > 5 * error  # the difference is seen above the sampling error
    assert 2.8 < ratio < 5.6  # 4.1 at order 2, 2.3 at order 1


def test_the_law_at_long_times_is_the_gibbs_measure():
    class Pull(mf.Field):
        def output(self, x, mu, positions=None):
            return jnp.broadcast_to(2.0 * jnp.eye(x.shape[1])[0], x.shape)

    path = mf.flow(at_pole(3, 40_000), Pull(), until=3.0, save=[3.0], noise=0.5, seed=0, solver=mf.Splitting(0.03))
    # drift = grad(2 cos), noise 1/2: density ~ e^{4 cos}; on S^2 the mean is Langevin's coth(4) - 1/4
    mean, error = moments(path.points[-1])[0]
    assert abs(mean - (1 / np.tanh(4.0) - 0.25)) < 4 * error + 1e-3


def test_a_seed_is_a_path_and_another_seed_another():
    tokens, field = mf.uniform(mf.Sphere(3), n=10, seed=0), mf.SelfAttention(beta=2.0)

    def end(seed):
        return np.asarray(mf.flow(tokens, field, until=1.0, save=3, noise=0.1, seed=seed).points[-1])

    np.testing.assert_array_equal(end(5), end(5))
    np.testing.assert_array_equal(end(5), end(jax.random.key(5)))
    assert not np.array_equal(end(5), end(6))


def test_little_noise_is_near_the_flow_without():
    tokens, field = mf.uniform(mf.Sphere(3), n=10, seed=0), mf.SelfAttention(beta=2.0)
    calm = mf.flow(tokens, field, until=1.0, save=3).points[-1]
    shaken = mf.flow(tokens, field, until=1.0, save=3, noise=1e-12, seed=0).points[-1]
    assert float(jnp.abs(calm - shaken).max()) < 1e-4


def test_absent_tokens_are_not_shaken():
    points = mf.uniform(mf.Sphere(3), n=10, seed=0).points  # as many as above: one program
    tokens = mf.Tokens(mf.Sphere(3), points, present=np.arange(10) != 2)
    path = mf.flow(tokens, mf.SelfAttention(beta=1.0), until=1.0, save=3, noise=0.5, seed=0)
    np.testing.assert_array_equal(path.points[-1, 2], points[2])
    assert not np.array_equal(path.points[-1, 1], points[1])


def test_a_noisy_run_goes_on_from_its_store_bit_by_bit(tmp_path):
    tokens, field = mf.uniform(mf.Sphere(3), n=10, seed=0), mf.SelfAttention(beta=2.0)
    options = {"until": 1.0, "save": 5, "noise": 0.1, "seed": 2}
    whole = mf.flow(tokens, field, **options)
    seen = []

    def stop(now, end):
        seen.append(now)
        if now > 0.3 and len(seen) < 10_000:
            seen.extend([0.0] * 10_000)
            raise KeyboardInterrupt

    first = mf.flow(tokens, field, **options, store=tmp_path / "run.zarr", progress=stop)
    assert first.status == "stopped"
    second = mf.flow(tokens, field, **options, store=tmp_path / "run.zarr")
    np.testing.assert_array_equal(second.points, whole.points)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": -0.1, "seed": 0}, "1/kappa"),
        ({"noise": float("nan"), "seed": 0}, "finite"),
        ({"noise": 0.1}, "needs a seed"),
        ({"noise": 0.1, "seed": 0, "solver": mf.Adaptive()}, "mf.Splitting"),
        ({"solver": mf.Splitting()}, "mf.Adaptive"),
        ({"noise": 0.1, "seed": 0, "until": mf.Stationary(1e-3)}, "until= as a time"),
    ],
)
def test_noise_that_cannot_be_meant_is_refused(options, said):
    with pytest.raises(mf.BadInput, match=said):
        mf.flow(mf.uniform(mf.Sphere(3), n=4), mf.SelfAttention(beta=1.0), **{"until": 1.0, **options})


def test_vmap_over_seeds_gives_the_runs_one_by_one():
    tokens, field = mf.uniform(mf.Sphere(3), n=10, seed=0), mf.SelfAttention(beta=2.0)

    def end(key):
        return mf.flow(tokens, field, until=1.0, save=3, noise=0.1, seed=key).points[-1]

    keys = jax.random.split(jax.random.key(0), 2)
    together = jax.jit(jax.vmap(end))(keys)
    np.testing.assert_allclose(together, jnp.stack([end(key) for key in keys]), atol=1e-13)
