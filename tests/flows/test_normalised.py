"""Flows and layers under every normalisation scheme, against a plain integration of the table in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import measureflow as mf
from hasty import hasty_jit
from measureflow.claims.instances import sharp
from measureflow.fields import Normalised
from measureflow.flows import segment as steps

# the shape and the solver of the claims: their programs serve here too
N, BETA, SWITCH, ALPHA = 8, 2.0, 2.0, 0.7
FIELD = mf.SelfAttention(beta=BETA)
TOKENS = mf.uniform(mf.Sphere(N), n=N, seed=3)
RADII = np.linspace(0.6, 2.0, N)
STATES = mf.Tokens(mf.Euclidean(N), RADII[:, None] * TOKENS.points)
SCHEMES = {
    "post": mf.PostLN(),
    "pre": mf.PreLN(),
    "mix": mf.MixLN(SWITCH),
    "peri": mf.PeriLN(),
    "ngpt": mf.NGPT(ALPHA),
    "sqrt": mf.SqrtLN(),
}
RADIAL = ("pre", "mix", "peri")
TIMES = [0.5, 4.0]


def start(name):
    return STATES if name in RADIAL else TOKENS


def run(name, until=4.0, save=TIMES, **options):
    return mf.flow(start(name), FIELD, until=until, save=save, normalisation=SCHEMES[name], solver=sharp(), **options)


def by_hand(name, times):
    """Directions and radii from the table of arXiv:2510.22026, by SciPy."""

    def rate(t, state):
        theta, r = state[:-N].reshape(N, N), state[-N:]
        theta = theta / np.linalg.norm(theta, axis=1, keepdims=True)
        raised = np.exp(BETA * theta @ theta.T)
        output = raised @ theta / raised.sum(axis=1, keepdims=True)
        size, along = np.linalg.norm(output, axis=1), (theta * output).sum(axis=1)
        early = name == "mix" and t < SWITCH
        s, grows = {
            "post": (1.0, 0.0),
            "pre": (r, along),
            "mix": (1.0, 0.0) if early else (r, along),
            "peri": (r * size, along / size),
            "ngpt": (size / ALPHA, 0.0),
            "sqrt": (np.sqrt(t + 1), 0.0),
        }[name]
        turned = (output - along[:, None] * theta) / np.broadcast_to(s, N)[:, None]
        return np.concatenate([turned.ravel(), np.broadcast_to(grows, N)])

    state, now, found = np.concatenate([np.asarray(TOKENS.points).ravel(), RADII]), 0.0, []
    for end in sorted({*times, SWITCH}):  # no step straddles the switch
        state = solve_ivp(rate, (now, end), state, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
        now = np.nextafter(end, 9.0)
        if end in times:
            found.append(state)
    return [one[:-N].reshape(N, N) for one in found], [one[-N:] for one in found]


@pytest.mark.parametrize("name", SCHEMES)
def test_flow_is_the_plain_integration_of_the_table(name):
    path = run(name)
    directions, radii = by_hand(name, TIMES)
    np.testing.assert_allclose(path.on_sphere().points, directions, rtol=0, atol=1e-8)
    if name in RADIAL:
        np.testing.assert_allclose(jnp.linalg.norm(path.points, axis=-1), radii, rtol=1e-8)
    else:
        assert path.stats["sphere_defect"] < 1e-15
        assert path.stats["largest_energy_decrease"] < 1e-14
        assert float(path.energy[1]) > float(path.energy[0])
    # the energy of directions rises under every positive speed factor
    energies = path.on_sphere().energy
    assert float(energies[1]) > float(energies[0]) > float(FIELD.energy(TOKENS))


@pytest.mark.parametrize("name", SCHEMES)
def test_layers_are_of_first_order_near_the_flow(name):
    # one program for both steps: h and 2h over the same number of layers, looked at in the same depth
    exact = run(name).points[0]
    errors = []
    for step in (1 / 32, 1 / 64):
        scheme = SCHEMES[name] if name != "mix" else mf.MixLN(0.25)
        path = mf.layers(start(name), FIELD, depth=32, step=step, normalisation=scheme)
        if name == "mix":
            continue
        errors.append(float(jnp.abs(path.points[round(0.5 / step)] - exact).max()))
    if name == "mix":  # Post-LN, radii kept, up to a quarter; Pre-LN from there on
        radii = np.linalg.norm(path.points, axis=-1)
        np.testing.assert_allclose(radii[:17], np.broadcast_to(RADII, (17, N)), rtol=1e-14)
        assert (radii[18:] > radii[17:-1]).all()
        early = mf.layers(TOKENS, FIELD, depth=32, step=1 / 64).points
        np.testing.assert_allclose(path.on_sphere().points[16], early[16], rtol=0, atol=1e-14)
        return
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)
    assert errors[0] > 1e-4


def test_tokens_that_have_met_are_joined_on_the_sphere_alone():
    joined = {name: len(run(name, until=60.0, save=[60.0]).merges) for name in ("ngpt", "pre")}
    assert joined == {"ngpt": N - 1, "pre": 0}


def test_run_with_a_radius_is_stored_and_read_back(tmp_path):
    path = run("pre", store=tmp_path / "run")
    again = run("pre", store=tmp_path / "run")
    np.testing.assert_array_equal(again.points, path.points)
    read = mf.Path.load(tmp_path / "run")
    assert repr(read.field) == "PreLN() of SelfAttention(beta=2)"
    assert read.recipe.data["field"]["scheme"] == {"noun": "PreLN", "norm": None}
    np.testing.assert_array_equal(read.points, path.points)
    # the recipe's field is a field like others
    same = mf.flow(STATES, read.recipe.part("field"), until=4.0, save=TIMES, solver=sharp())
    np.testing.assert_array_equal(same.points, path.points)
    assert same.recipe.hash == path.recipe.hash


def overlap(alpha):
    """Cosine of two tokens after a flow under nGPT, as a function of its alpha."""
    tokens = mf.Tokens(mf.Sphere(2), jnp.asarray([[1.0, 0.0], [0.0, 1.0]]))
    solver = mf.Adaptive(1e-10, coarsen=False)
    path = mf.flow(tokens, FIELD, until=1.0, save=[1.0], normalisation=mf.NGPT(alpha), solver=solver)
    return jnp.sum(path.points[-1, 0] * path.points[-1, 1])


def test_alpha_may_be_batched():
    alphas = jnp.asarray([0.25, 0.5, 1.0])
    cosines = np.asarray(hasty_jit(jax.vmap(overlap))(alphas))
    gap = [by_equations(float(alpha)) for alpha in alphas]
    np.testing.assert_allclose(cosines, gap, rtol=0, atol=1e-8)


def by_equations(alpha):
    given = {"n": 2, "beta": BETA, "start": 0.0}
    return 1 - mf.theory.gap_and_radius_of_normalised_tokens([1.0], scheme="ngpt", alpha=alpha, **given)[0][0]


@pytest.mark.slow
def test_flow_is_differentiated_by_alpha():
    slope = float(hasty_jit(jax.grad(overlap))(0.5))
    assert slope == pytest.approx((by_equations(0.5 + 1e-4) - by_equations(0.5 - 1e-4)) / 2e-4, rel=1e-6)


def test_conditions_look_at_directions():
    near = TOKENS.replace(points=mf.cap(mf.Sphere(N), N, angle=1e-3, seed=0).points)
    far = mf.Tokens(mf.Euclidean(N), 100.0 * RADII[:, None] * near.points)
    condition = mf.Consensus(1e-3)
    for field, met in ((Normalised(FIELD, mf.PreLN()), True), (FIELD, False)):
        problem = steps.Problem(far, field, sharp(), condition, 0)
        state = steps.State(**{**dict.fromkeys(steps.State.__dataclass_fields__), "cohorts": steps.Cohorts.apart(far)})
        assert bool(steps.met(problem, state, far.points, jnp.ones_like(far.points))) is met


@pytest.mark.parametrize(
    ("tokens", "options", "says"),
    [
        (TOKENS, {"normalisation": mf.PreLN()}, r"PreLN lets the radii of tokens grow and they live in Sphere\(d=8\)"),
        (STATES, {"normalisation": mf.SqrtLN()}, r"SqrtLN acts on a sphere and the tokens live in Euclidean\(d=8\)"),
        (TOKENS, {"normalisation": mf.NGPT(), "noise": 0.1, "seed": 0}, r"noise has no meaning under NGPT\(alpha=1\)"),
        (STATES, {"normalisation": mf.PreLN(), "until": mf.Stationary(1e-6)}, "radii grow for ever under PreLN"),
        (mf.Density.uniform(mf.Sphere(2)), {"normalisation": mf.NGPT()}, r"a density moves under PostLN\(\), not NGPT"),
    ],
)
def test_flow_refuses_what_has_no_meaning(tokens, options, says):
    with pytest.raises(mf.BadInput, match=says):
        mf.flow(tokens, FIELD, **{"until": 1.0, **options})


def test_layers_refuse_the_motion_of_a_flow():
    with pytest.raises(mf.BadInput, match=r"is a motion; give the field itself and normalisation=NGPT\(alpha=1\)"):
        mf.layers(TOKENS, Normalised(FIELD, mf.NGPT()), depth=1, step=0.1)
