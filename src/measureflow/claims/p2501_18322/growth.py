"""How fast covariances grow: explosions under softmax attention, none under L2 and Sinkhorn, and never of particles."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import sharp
from measureflow.claims.p2501_18322.instances import KINDS, attracting, orbits, spread

#: how much wider the second law is
WIDER = 30.0
EXPONENTS = {"softmax": 1.0, "two heads": 1.0, "l2": 0.0, "sinkhorn": 0.0}


def near_rotation(case: Case) -> np.ndarray:
    """Draw a query of the plane with singular values 1 and more than 0.7."""
    generator = case.generator("query")
    left, _, right = np.linalg.svd(generator.normal(size=(2, 2)))
    return left * np.array([1.0, generator.uniform(0.7, 0.95)]) @ right


def growth_exponent(kind: str) -> float:
    """Return p where a large covariance grows like s' = s^(1 + p): 1 is an explosion like 1/(t* - t), 0 exponential."""
    return EXPONENTS[kind]


@claim("2501.18322", "blow-up and divergence", covers=["T15", "5.3"], status="derived", states=growth_exponent)
def softmax_explodes_and_l2_and_sinkhorn_grow_exponentially(case: Case) -> None:
    """Large covariances grow like s^2 under softmax attention with one or two heads, like s under L2 and Sinkhorn: a
    law 30 times as wide goes the same way, so many times faster or not at all."""
    query = near_rotation(case)
    cov = spread(case, 2)
    # on the clock of the law, dtau = tr S dt, an explosion is e^tau and exponential growth is linear. Both laws are
    # seen at the same shape: along one of them the shape may turn late, where two heads pull nearly alike
    late = np.array([[0.0, 6.0, 9.0]] * 2 + [[0.0, 2e3, 4e3]] * 2)
    wide = np.array([1.0, 1.0, WIDER, WIDER])[:, None] * late
    found = case.measure(
        orbits,
        KINDS * 2,
        [cov] * 4 + [WIDER * cov] * 4,
        query,
        query,
        np.eye(2),
        np.stack([late, wide]).reshape(8, 3),
        own_clock=True,
    )
    case.require("all were followed", bool(found.finished.all()))
    sizes = np.log(np.trace(found.cov, axis1=2, axis2=3)).reshape(2, 4, 3)[..., 1:]
    middles = sizes.mean(axis=-1)
    rates = np.log(np.diff(sizes)[..., 0] / np.ptp(np.stack([late, wide])[..., 1:], axis=-1)) + middles
    measured = np.diff(rates, axis=0)[0] / np.diff(middles, axis=0)[0]
    because = "at a size of 200 what is left out is of relative order 1/200; softmax: to rounding"
    case.compare(measured, [case.predict(kind) for kind in KINDS], within=0.03, because=because)


@softmax_explodes_and_l2_and_sinkhorn_grow_exponentially.mutation
def all_explode(kind: str) -> float:
    """L2 and Sinkhorn attention explode as well."""
    return 1.0


@softmax_explodes_and_l2_and_sinkhorn_grow_exponentially.mutation
def explosion_like_an_inverse_square(kind: str) -> float:
    """The covariance explodes like (t* - t)^-2."""
    return 0.5 * EXPONENTS[kind]


@claim(
    "2501.18322",
    "no blow-up",
    covers=["T15", "5.3"],
    status="derived",
    states=theory.growth_bound_of_gaussian,
    id="2501.18322/T15-bound",
)
def growth_under_l2_and_sinkhorn_attention_is_bounded(case: Case) -> None:
    """|S(t)| <= |S_0| e^{ct} with c = 2|V| under Sinkhorn and c = 2|V||K^-1||Q| under L2 attention."""
    generator, query = case.generator("values"), near_rotation(case)
    values = np.stack([np.eye(2), *(one / np.linalg.norm(one, 2) for one in generator.normal(size=(3, 2, 2)))] * 2)
    kinds, cov = ["l2"] * 4 + ["sinkhorn"] * 4, spread(case, 2)
    times = np.array([0.0, 1.0, 2.5, 4.0])
    found = case.measure(orbits, kinds, [cov] * 8, query, query, values, times)
    case.require("all were followed", bool(found.finished.all()))
    grown = np.log(np.linalg.norm(found.cov, 2, axis=(2, 3)) / np.linalg.norm(cov, 2))
    rates = [
        case.predict(value=value, attention=kind, query=query, key=query)
        for value, kind in zip(values, kinds, strict=True)
    ]
    because = "rtol 1e-9 a step of growth by e^11 at most"
    case.at_most(grown, np.outer(rates, times), within=1e-4, because=because)


@growth_under_l2_and_sinkhorn_attention_is_bounded.mutation
def half_the_rate(**arguments: Any) -> float:
    """|V| stands for 2|V|: the rate of a standard deviation for that of a variance."""
    return 0.5 * theory.growth_bound_of_gaussian(**arguments)


@growth_under_l2_and_sinkhorn_attention_is_bounded.mutation
def form_for_value(**arguments: Any) -> float:
    """A decaying form lets nothing grow: the rate is 0."""
    return 0.0 * theory.growth_bound_of_gaussian(**arguments)


@claim(
    "2501.18322",
    "laws on the line",
    covers=["T15", "5.3"],
    status="derived",
    states=theory.variance_of_gaussian,
    id="2501.18322/T15-line",
)
def variances_on_the_line_follow_their_laws(case: Case) -> None:
    """Softmax s/(1 - 2vast), L2 by Wright's omega and Sinkhorn by theta - coth(theta/2): each axis of a product law."""
    generator = case.generator("laws")
    start, query, value = generator.uniform(0.3, 1.5, size=(3, 6, 2))
    key = generator.uniform(0.5, 1.2, size=(6, 2)) * np.array([1.0, 1.0, -1.0, 1.0, -1.0, 1.0])[:, None]
    key[:2] = -key[:2]  # softmax: it must not explode before the last time
    kinds = np.repeat(["softmax", "l2", "sinkhorn"], 2)
    times = np.array([0.0, 0.4, 1.2, 3.0])

    def diagonal(entries: np.ndarray) -> np.ndarray:
        return entries[:, :, None] * np.eye(2)

    law = [diagonal(entries) for entries in (start, query, key, value)]
    found = case.measure(orbits, kinds, *law, times)
    case.require("all were followed", bool(found.finished.all()))
    measured = np.diagonal(found.cov, axis1=2, axis2=3)
    stated = np.empty_like(measured)
    for k in np.ndindex(6, 2):
        about = {"form": query[k] * key[k], "value": value[k], "attention": str(kinds[k[0]]), "keys": key[k] ** 2}
        stated[k[0], :, k[1]] = case.predict(times, start=start[k], **about)
    case.compare(measured, stated, within=1e-7, relative=True, because="rtol 1e-9 a step over some dozens of steps")


@variances_on_the_line_follow_their_laws.mutation
def factor_two_of_the_variance(times: Any, **law: Any) -> Any:
    """The deviation's rate stands for the variance's."""
    return theory.variance_of_gaussian(times / 2, **law)


@variances_on_the_line_follow_their_laws.mutation
def keys_of_the_released_script(times: Any, **law: Any) -> Any:
    """As the released script has it: L2 attention divides the product by sqrt(d), and not the squares of the keys."""
    form = law.pop("form") / np.sqrt(2.0 if law["attention"] == "l2" else 1.0)
    return theory.variance_of_gaussian(times, form=form, **law)


def reach(times: Any, start: float, value: Any) -> Any:
    """Return the radius R_0 e^{|V| t} that no token leaves under softmax attention."""
    return start * np.exp(np.linalg.norm(value, 2) * np.asarray(times))


@claim(
    "2501.18322",
    "compact support",
    covers=["T15", "5.1"],
    status="theorem",
    states=reach,
    id="2501.18322/T15-particles",
)
def particles_never_explode(case: Case) -> None:
    """Tokens stay within R_0 e^{|V| t} under softmax attention, also where the Gaussian of their moments explodes."""
    query, _ = attracting(case)
    points = case.generator("tokens").normal(size=(8, 3))
    cov = np.cov(points.T, bias=True)
    times = np.array([1.0, 3.0, 6.0])
    end = theory.blow_up_time_of_gaussian(cov, query.T @ query)
    case.require("the Gaussian explodes before", end < times[-1])
    tokens, field = mf.Tokens(mf.Euclidean(3), points), mf.SelfAttention(1.0, query=query, key=query)
    path = case.measure(mf.flow, tokens, field, until=6.0, save=times, solver=sharp(1e-9))
    case.require("the flow ran to its end", path.status == "reached")
    radii = np.linalg.norm(np.asarray(path.points), axis=2).max(axis=1)
    stated = case.predict(times, float(np.linalg.norm(points, axis=1).max()), np.eye(3))
    case.at_most(np.log(radii), np.log(stated), within=1e-4, because="rtol 1e-9 a step on growth by e^6")


@particles_never_explode.mutation
def half_the_growth(times: Any, start: float, value: Any) -> Any:
    """The radius grows like e^{|V| t / 2}."""
    return reach(np.asarray(times) / 2, start, value)


@particles_never_explode.mutation
def no_growth(times: Any, start: float, value: Any) -> Any:
    """The convex hull never grows, as for V = I under a layer norm."""
    return reach(0 * np.asarray(times), start, value)
