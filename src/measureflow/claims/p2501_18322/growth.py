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
from measureflow.paths.style import ACCENT, MUTED, THEORY

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
    middles, rates = paces(case)
    measured = np.diff(rates, axis=0)[0] / np.diff(middles, axis=0)[0]
    because, over = (
        "at a size of 200 what is left out is of relative order 1/200; softmax: to rounding",
        {"kind": range(4)},
    )
    stated = [case.predict(kind) for kind in KINDS]
    case.compare(measured, stated, within=0.03, because=because, name="p of " + ", ".join(KINDS), over=over)


def paces(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of traces and of their relative rates of growth, `(2, 4)`, late: of a law and of one so
    many times as wide, for each kind of attention."""
    query, wider = near_rotation(case), case.given("wider", WIDER)
    case.require("the second law is wider", wider > 1)
    cov = spread(case, 2)
    # on the clock of the law, dtau = tr S dt, an explosion is e^tau and exponential growth is linear. Both laws are
    # seen at the same shape: along one of them the shape may turn late, where two heads pull nearly alike
    late = np.array([[0.0, 6.0, 9.0]] * 2 + [[0.0, 2e3, 4e3]] * 2)
    wide = np.array([1.0, 1.0, wider, wider])[:, None] * late
    found = case.measure(
        orbits,
        KINDS * 2,
        [cov] * 4 + [wider * cov] * 4,
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
    return middles, rates


@softmax_explodes_and_l2_and_sinkhorn_grow_exponentially.figure
def rates_against_sizes(case: Case, ax: Any) -> None:
    """Draw the relative rate of growth against the trace, of both laws and each kind, with the stated powers."""
    middles, rates = paces(case)
    # one unit for each kind: only slopes are stated
    for k, (kind, colour) in enumerate(zip(KINDS, (ACCENT[0], ACCENT[1], ACCENT[2], MUTED), strict=True)):
        x, y = np.exp(middles[:, k] - middles[0, k]), np.exp(rates[:, k] - rates[0, k])
        ax.plot(x, y, "os^D"[k], color=colour, ms=9, mfc="none", mew=2, label=kind)
        ax.plot(x, x ** case.predict(kind), "--", color=THEORY, lw=1.3, label="stated power" if k == 3 else None)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="trace $s$, in that of the first law",
        ylabel="$\\dot s/s$, in that of the first law",
    )
    ax.set_title(f"two laws, one {case.instance['wider']:g} times as wide, V = I", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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
    values = case.given("size of V", 1.0) * np.stack(
        [np.eye(2), *(one / np.linalg.norm(one, 2) for one in generator.normal(size=(3, 2, 2)))] * 2
    )
    kinds, cov = ["l2"] * 4 + ["sinkhorn"] * 4, spread(case, 2)
    times = case.given("until", 4.0) * np.array([0.0, 0.25, 0.625, 1.0])
    found = case.measure(orbits, kinds, [cov] * 8, query, query, values, times)
    case.require("all were followed", bool(found.finished.all()))
    grown = np.log(np.linalg.norm(found.cov, 2, axis=(2, 3)) / np.linalg.norm(cov, 2))
    rates = [
        case.predict(value=value, attention=kind, query=query, key=query)
        for value, kind in zip(values, kinds, strict=True)
    ]
    because = "rtol 1e-9 a step of growth by e^11 at most"
    name, over = "log |S(t)|/|S_0|, four V of L2 and of Sinkhorn", {"t": times}
    case.at_most(grown, np.outer(rates, times), within=1e-4, because=because, name=name, over=over)


@growth_under_l2_and_sinkhorn_attention_is_bounded.figure
def growth_below_its_bounds(case: Case, ax: Any) -> None:
    """Draw the growth of every law, and the bound of the one with V = I of each kind."""
    (curve,) = case.curves
    times, grown, bounds = (part.reshape(8, -1) for part in (curve.places, curve.measured, curve.stated))
    for first, colour, kind, size in ((0, ACCENT[0], "L2", 10), (4, ACCENT[1], "Sinkhorn", 5)):
        ax.plot(times[0], grown[first : first + 4].T, "o-", color=colour, lw=1.0, ms=size, mfc="none")
        ax.plot(
            [],
            [],
            "o-",
            color=colour,
            ms=size,
            mfc="none",
            label=f"{kind}, V = {case.instance['size of V']:g} I and others",
        )
        ax.plot(times[0], bounds[first], "--", color=THEORY, lw=1.3)
        ax.annotate(
            f"bound, {kind}", (times[0, -1], bounds[first, -1]), ha="right", va="bottom", color=THEORY, fontsize=9
        )
    ax.set(xlabel="$t$", ylabel=r"$\log(|S(t)|/|S_0|)$")
    ax.set_title("A + A^T > 0", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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
    (start, query, key, value), times = laws_on_the_axes(case), np.array(case.given("times", (0.0, 0.4, 1.2, 3.0)))
    case.require("two times or more, in order", len(times) >= 2 and times[0] >= 0 and bool((np.diff(times) > 0).all()))
    kinds = np.repeat(["softmax", "l2", "sinkhorn"], 2)

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
    measured, stated = np.swapaxes(measured, 1, 2), np.swapaxes(stated, 1, 2)
    because, name = "rtol 1e-9 a step over some dozens of steps", "variances of softmax, L2, Sinkhorn"
    case.compare(measured, stated, within=1e-7, relative=True, because=because, name=name, over={"t": times})


def laws_on_the_axes(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw variances, queries, keys and values of six laws along both axes: two laws for each kind of attention."""
    generator = case.generator("laws")
    start, query, value = generator.uniform(0.3, 1.5, size=(3, 6, 2))
    key = generator.uniform(0.5, 1.2, size=(6, 2)) * np.array([1.0, 1.0, -1.0, 1.0, -1.0, 1.0])[:, None]
    key[:2] = -key[:2]  # softmax: it must not explode before the last time
    return start, query, key, value


@variances_on_the_line_follow_their_laws.figure
def variances_over_time(case: Case, ax: Any) -> None:
    """Draw the variance along the first axis of every law."""
    (curve,) = case.curves
    times, found = (part.reshape(3, 2, 2, -1) for part in (curve.places, curve.measured))
    start, query, key, value = laws_on_the_axes(case)
    line = np.linspace(0.0, times.max(), 100)
    for k, (kind, colour) in enumerate(zip(("softmax", "l2", "sinkhorn"), ACCENT, strict=True)):
        for one in range(2):
            row = 2 * k + one
            ax.plot(times[k, one, 0], found[k, one, 0], "o", color=colour, ms=7, label=kind if one == 0 else None)
            about = {"form": query[row, 0] * key[row, 0], "value": value[row, 0], "keys": key[row, 0] ** 2}
            law = case.predict(line, start=start[row, 0], attention=kind, **about)
            ax.plot(line, law, "--", color=THEORY, lw=1.3, label="stated" if row == 5 else None)
    ax.set(yscale="log", xlabel="$t$", ylabel="variance $s(t)$ along one axis")
    ax.set_title("two laws for each kind of attention", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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
    (query, _), n, until, beta = attracting(case), case.given("n", 8), case.given("until", 6.0), case.given("beta", 1.0)
    d = len(query)
    points = case.generator("tokens").normal(size=(n, d))
    cov = np.cov(points.T, bias=True)
    times = until * np.array([1.0, 3.0, 6.0]) / 6.0
    end = theory.blow_up_time_of_gaussian(cov, beta * query.T @ query)
    case.require("the Gaussian explodes before", end < times[-1])
    tokens, field = mf.Tokens(mf.Euclidean(d), points), mf.SelfAttention(beta, query=query, key=query)
    path = case.measure(mf.flow, tokens, field, until=until, save=times, solver=sharp(1e-9))
    case.require("the flow ran to its end", path.status == "reached")
    radii = np.linalg.norm(np.asarray(path.points), axis=2).max(axis=1)
    stated = case.predict(times, float(np.linalg.norm(points, axis=1).max()), np.eye(d))
    because, name = "rtol 1e-9 a step on growth by e^6", "log of the largest radius"
    case.at_most(np.log(radii), np.log(stated), within=1e-4, because=because, name=name, over={"t": times})


@particles_never_explode.figure
def radius_of_the_tokens(case: Case, ax: Any) -> None:
    """Draw the largest radius of the tokens below its bound, and where the Gaussian explodes."""
    (curve,), (query, _) = case.curves, attracting(case)
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    points = case.generator("tokens").normal(size=(n, d))
    start = float(np.linalg.norm(points, axis=1).max())
    end = theory.blow_up_time_of_gaussian(np.cov(points.T, bias=True), beta * query.T @ query)
    ax.plot(
        np.append(0.0, curve.places), [start, *np.exp(curve.measured)], "o-", color=ACCENT[0], lw=1.0, label="tokens"
    )
    line = np.linspace(0.0, curve.places[-1], 50)
    ax.plot(line, case.predict(line, start, np.eye(d)), "--", color=THEORY, lw=1.3, label=r"bound $R_0 e^{|V|t}$")
    ax.axvline(end, color=MUTED, ls=":", label="the Gaussian of their moments explodes")
    ax.set(yscale="log", xlabel="$t$", ylabel="largest radius")
    ax.set_title(f"n = {n}, d = {d}, beta = {beta:g}, V = I", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@particles_never_explode.mutation
def half_the_growth(times: Any, start: float, value: Any) -> Any:
    """The radius grows like e^{|V| t / 2}."""
    return reach(np.asarray(times) / 2, start, value)


@particles_never_explode.mutation
def no_growth(times: Any, start: float, value: Any) -> Any:
    """The convex hull never grows, as for V = I under a layer norm."""
    return reach(0 * np.asarray(times), start, value)
