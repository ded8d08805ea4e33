"""Claims of arXiv:2412.09080, on the number of modes of Gaussian kernel density estimators, on line and circle."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ive, ndtr

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY

#: places on the circle where a sample may fall (below their Nyquist frequency it makes no difference), harmonics of
#: the kernel, and repetitions
PLACES, DEGREE, REPETITIONS = 192, 90, 5000


def around(places: int) -> np.ndarray:
    """Return points at equal angles on the circle."""
    angles = 2 * np.pi * np.arange(places) / places
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@eqx.filter_jit
def peaks(shares: Any, field: mf.SelfAttention) -> Any:
    """Return how many stable points attention has among the samples of each row: the maxima of their density.

    The velocity is 1/beta of the gradient of the logarithm of the kernel density, so its sign is that of the slope.
    """
    places, queries = jnp.asarray(around(PLACES)), jnp.asarray(around(2 * PLACES))
    forwards = jnp.stack([-queries[:, 1], queries[:, 0]], axis=1)

    def one(masses: Any) -> Any:
        speed = jnp.sum(field(queries, mf.Tokens(mf.Sphere(2), places, masses)) * forwards, axis=1)
        return jnp.sum((speed > 0) & (jnp.roll(speed, -1) <= 0))

    return jax.lax.map(one, shares, batch_size=500)


@claim(
    "2412.09080",
    "the circle's counterpart",
    covers=["V20"],
    status="derived",
    states=lambda beta: theory.expected_peaks_of_kernel_density(beta=beta),
)
def kernel_density_of_uniform_samples_has_this_many_peaks(case: Case) -> None:
    """Among many uniform tokens attention has sqrt(S_4/S_2) stable points, some sqrt(3 beta/2): as many as their
    density with kernel e^(beta cos) has peaks."""
    beta, n, count = case.draw("beta", 120.0, 150.0), case.given("n", 100_000), case.given("repetitions", REPETITIONS)
    case.require(
        "a bandwidth holds many samples, and the kernel is resolved", 100 * np.sqrt(beta) <= n and 1 <= beta <= 200
    )
    case.require("there are repetitions enough for a standard error", count >= 100)
    found = numbers_of_peaks(case, beta, n, count)
    error = float(found.std() / np.sqrt(count))
    because = f"seven standard errors of {error:.2g}; n = {n:,} samples are nearly a Gaussian field"
    case.compare(found.mean(), case.predict(beta), within=7 * error, because=because, name="mean number of peaks")


def numbers_of_peaks(case: Case, beta: float, n: int, count: int) -> np.ndarray:
    """Return how many peaks the density of n uniform samples has, for as many draws of these."""
    shares = case.generator("samples").multinomial(n, np.full(PLACES, 1 / PLACES), count) / n
    return np.asarray(case.measure(peaks, shares, mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=DEGREE))))


@kernel_density_of_uniform_samples_has_this_many_peaks.figure
def law_of_the_number_of_peaks(case: Case, ax: Any) -> None:
    """Draw how often each number of peaks was found, its mean, and what is stated of it."""
    beta, n, count = (case.instance[name] for name in ("beta", "n", "repetitions"))
    found = numbers_of_peaks(case, beta, n, count)
    numbers, often = np.unique(found, return_counts=True)
    ax.bar(numbers, often / count, color=FAINT, width=0.8, label=f"{count:,} draws of {n:,} tokens")
    ax.axvline(found.mean(), color=ACCENT[0], lw=3, alpha=0.6, label=f"mean {found.mean():.2f}")
    stated = case.predict(beta)
    ax.axvline(stated, ls="--", color=THEORY, label=rf"$\sqrt{{S_4/S_2}}={stated:.2f}$")
    ax.set(xlabel="stable points of attention", ylabel="share", title=rf"circle, $\beta={beta:.0f}$")
    ax.set_ylim(0, 1.45 * often.max() / count)
    ax.legend()


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def most_unstable_mode(beta: float) -> float:
    """sqrt(2 beta): the mode that grows fastest around the uniform law."""
    return float(theory.dominant_degree(beta=beta, d=2))


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def zeros_of_the_density(beta: float) -> float:
    """sqrt(S_2/S_0): the field's own zeros are counted, not those of its slope."""
    k = np.arange(1, 400)
    power = ive(k, beta) ** 2
    return float(np.sqrt((k**2 @ power) / (power.sum() + 0.5 * ive(0, beta) ** 2)))


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def law_of_the_line(beta: float) -> float:
    """sqrt(beta log beta), the order of Gaussian samples on the line."""
    return float(np.sqrt(beta * np.log(beta)))


#: places of the line per bandwidth: the spectrum of the kernel ends long before theirs does
FINE = 4


def modes_of_samples(n: int, beta: float, texts: int, seed: int) -> list[np.ndarray]:
    """Return the modes of the density with kernel e^(-beta u^2/2) of n samples of N(0, 1), of each text.

    Samples fall in narrow bins, so that any number of them is one draw of multinomial counts.
    """
    step = 1.0 / (FINE * np.sqrt(beta))
    half = int((np.sqrt(2 * np.log(n)) + 2.0) / step)
    places = step * np.arange(-half, half + 1)
    left = np.diff(ndtr(places[: half + 1] - step / 2), append=ndtr(step / 2))  # small ones keep their digits
    shares = np.append(left, left[-2::-1])
    kernel = np.exp(-0.5 * (np.arange(-12 * FINE, 12 * FINE + 1) / FINE) ** 2)
    found = []
    for counts in np.random.default_rng(seed).multinomial(n, shares / shares.sum(), texts):
        rises = np.diff(np.convolve(counts.astype(float), kernel, "same"))
        found.append(places[1:-1][(rises[:-1] > 0) & (rises[1:] <= 0)])
    return found


def density_of_modes(t: np.ndarray, n: float, beta: float) -> np.ndarray:
    r"""Return the expected number of modes per unit of length at t, by Kac and Rice for a Gaussian slope F.

    $F(t) = \sum_i G(t - X_i)$, $G(u) = -u e^{-\beta u^2/2}$, has moments that are Gaussian integrals: with the weight
    $e^{-p\beta u^2/2}$ the sample seen from t is $u \sim N(t s, s)$, $s = 1/(1 + p\beta)$. A mode is a crossing from
    above to below.
    """

    def moments(p: int) -> tuple[np.ndarray, list[np.ndarray]]:
        s = 1.0 / (1.0 + p * beta)
        m, mass = t * s, np.exp(-0.5 * t**2 * p * beta * s) * np.sqrt(s)
        return mass, [np.ones_like(t), m, m**2 + s, m**3 + 3 * m * s, m**4 + 6 * m**2 * s + 3 * s**2]

    mass, u = moments(1)
    slope, bend = -mass * u[1], mass * (beta * u[2] - u[0])
    mass, u = moments(2)
    a = n * (mass * u[2] - slope**2)
    b = n * (mass * (u[1] - beta * u[3]) - slope * bend)
    c = n * (mass * (u[0] - 2 * beta * u[2] + beta**2 * u[4]) - bend**2)
    level, spread = n * (bend - b / a * slope), np.sqrt(c - b**2 / a)

    def gauss(z: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)

    falls = spread * gauss(level / spread) - level * ndtr(-level / spread)
    return gauss(n * slope / np.sqrt(a)) / np.sqrt(a) * falls


def window_of_modes(n: float, beta: float) -> tuple[float, float]:
    """Return between which t^2 almost all modes lie."""
    return 2 * np.log(n) - 3 * np.log(beta), 2 * np.log(n) - np.log(beta)


def order_of_modes(n: float, beta: float) -> float:
    """Return the length of the window on both sides, of the order sqrt(log beta), times sqrt(3 beta/2)/2 pi."""
    low, high = window_of_modes(n, beta)
    return float(np.sqrt(1.5 * beta) / np.pi * (np.sqrt(high) - np.sqrt(max(low, 0.0))))


@claim(
    "2412.09080",
    "main theorem",
    covers=["4.7"],
    status="derived",
    id="2412.09080/line",
    states={"density": density_of_modes, "window": window_of_modes, "order": order_of_modes},
)
def modes_of_gaussian_samples_are_in_their_outskirts(case: Case) -> None:
    """Of n samples of N(0, 1) the density with bandwidth beta^(-1/2) has some sqrt(beta log beta) modes, almost all of
    them with t^2 between 2 log n - 3 log beta and 2 log n - log beta.

    Derived here: where a bandwidth holds many samples the slope is a Gaussian field, and Kac and Rice's count of its
    zeros is sqrt(3 beta/2)/(2 pi) per unit of length, as on the circle, times e^(-2 sqrt(pi) n beta^(-3/2) t^2 phi(t))
    where its mean is felt: below the window. Above it samples stand alone. In between their number falls short of the
    Gaussian count by less than half. (About 0, where the mean has no slope, there are some n^(-1/2) beta^(5/4) more.)
    """
    n = round(case.draw("n", 1e13, 1e15, log=True))
    case.require("there are very many samples", n > 1e6)
    beta, texts = n ** case.draw("log beta / log n", 0.36, 0.42), case.given("texts", 24)
    case.require("there are texts enough for a standard error", texts >= 4)
    case.require("n^c < beta < n^(2-c)", n**0.1 < beta < n**1.9)
    case.require("a bandwidth holds many samples at the middle", n > 1000 * np.sqrt(beta))
    case.require(
        "the window is wide, so that its borders do not count", 2 * np.log(n) - 3 * np.log(beta) > 10 and beta > 1e4
    )
    each = [np.abs(modes) for modes in case.measure(modes_of_samples, n, beta, texts, case.seed)]
    found = np.concatenate(each)
    crowded = where_crowded(n, beta)
    counts = [(modes <= crowded[-1]).sum() for modes in each]
    stated = 2 * np.trapezoid(case.statement.density(crowded, n, beta), crowded)
    gaussian = 2 * np.trapezoid(density_of_modes(crowded, n, beta), crowded)
    case.require(
        "there are many modes where a bandwidth holds 50 samples, and few about 0",
        bool(gaussian > 20) and beta > n**0.35,
    )
    because = f"six standard errors over {texts} texts, and 3 % for 50 samples to a bandwidth at the border"
    within = 6 * np.std(counts) / np.sqrt(texts) + 0.03 * stated
    case.compare(np.mean(counts), stated, within=within, because=because, name="where a bandwidth holds 50 samples")
    low, high = case.statement.window(n, beta)
    beyond = ((found**2 < low - 6.0) | (found**2 > high + 8.0)).mean()
    because = "what is O(1) in t^2 beyond the borders, of a window 25 and more wide"
    case.at_most(beyond, 0.0, within=0.03, because=because, name="share beyond the window")
    count = len(found) / texts
    order = case.statement.order(n, beta)
    because = "a number of modes to 1 %"
    case.at_most(count / order, 1.0, within=0.015, because=because, name="modes over their order")
    case.at_least(count / order, 0.5, within=0.015, because=because, name="modes over their order")


def where_crowded(n: float, beta: float) -> np.ndarray:
    """Return the places of the half-line, from 0 on, where a bandwidth holds more than 50 samples."""
    heights = np.linspace(0.0, np.sqrt(2 * np.log(n)), 4001)
    return heights[n * np.exp(-(heights**2) / 2) / np.sqrt(2 * np.pi * beta) > 50]


@modes_of_gaussian_samples_are_in_their_outskirts.figure
def modes_over_the_line(case: Case, ax: Any) -> None:
    """Draw where the modes are, the density that Kac and Rice's formula gives, and the borders of the window."""
    n, texts = round(case.instance["n"]), case.instance["texts"]
    beta = n ** case.instance["log beta / log n"]
    found = np.abs(np.concatenate(case.measure(modes_of_samples, n, beta, texts, case.seed)))
    often, edges = np.histogram(found, bins=np.linspace(0.0, found.max(), 41))
    ax.bar(
        edges[:-1], often / (texts * np.diff(edges)), np.diff(edges), align="edge", color=FAINT, label=f"{texts} texts"
    )
    crowded = where_crowded(n, beta)
    ax.plot(crowded, 2 * case.statement.density(crowded, n, beta), "--", color=THEORY, label="Kac and Rice")
    for border in case.statement.window(n, beta):
        ax.axvline(np.sqrt(max(border, 0.0)), color=ACCENT[0], lw=1)
    ax.plot([], [], color=ACCENT[0], lw=1, label="borders of the window")
    # about 0 the mean has no slope: a few modes on a very short stretch
    ax.set(xlim=(0.0, found.max()), ylim=(0.0, 1.6 * (often / (texts * np.diff(edges))).max()))
    lead, exponent = f"{n:.1e}".split("e")
    head = rf"$n={lead}\cdot 10^{{{int(exponent)}}}$, $\beta={beta:.3g}$"
    ax.set(xlabel="distance $|t|$ from the mean", ylabel="modes per unit of length", title=head)
    ax.legend()


@modes_of_gaussian_samples_are_in_their_outskirts.mutation("density")
def as_on_the_circle(t: np.ndarray, n: float, beta: float) -> np.ndarray:
    """The mean slope is left out: sqrt(3 beta/2)/(2 pi) everywhere, as for uniform samples."""
    return np.full_like(t, np.sqrt(1.5 * beta) / (2 * np.pi))


@modes_of_gaussian_samples_are_in_their_outskirts.mutation("window")
def exponents_for_squares(n: float, beta: float) -> tuple[float, float]:
    """The borders are those of t^2/2, the exponent of the density."""
    return np.log(n) - 1.5 * np.log(beta), np.log(n) - 0.5 * np.log(beta)


@modes_of_gaussian_samples_are_in_their_outskirts.mutation("window")
def upper_border_lowered(n: float, beta: float) -> tuple[float, float]:
    """The upper border is 2 log n - 2 log beta."""
    return 2 * np.log(n) - 3 * np.log(beta), 2 * np.log(n) - 2 * np.log(beta)


@modes_of_gaussian_samples_are_in_their_outskirts.mutation("order")
def without_the_logarithm(n: float, beta: float) -> float:
    """sqrt(beta) alone: a window of length one."""
    return float(np.sqrt(1.5 * beta) / np.pi)


@modes_of_gaussian_samples_are_in_their_outskirts.mutation("order")
def logarithm_without_its_root(n: float, beta: float) -> float:
    """sqrt(beta) log beta: the window is taken in t^2."""
    low, high = window_of_modes(n, beta)
    return float(np.sqrt(1.5 * beta) / np.pi * (high - low))


#: betas at which clusters are counted, by tier
WANTED = {"smoke": (16.0, 36.0, 64.0)}


@exploration("2412.09080", "number of metastable clusters", covers=["P10"])
def how_many_clusters_stand_at_the_first_plateau(case: Case) -> dict[str, Any]:
    """How does the number of clusters at t = 10 grow with beta, on the circle and on the sphere, and how does it fall?

    Candidates: peaks of the kernel density, sqrt(3 beta/2) on the circle and beta/sqrt(3) on S^2 (the maxima of the
    plane's Gaussian field with spectrum e^(-k^2/beta), times 4 pi); the dominant mode, sqrt(2 beta). The study counts
    components of SA tokens (gap 0.5/sqrt(beta)) and gives ratios to the first, standard errors, and on the circle how
    many of these the number is from either law, and the numbers at later times. On the circle it is c(t) sqrt(beta)
    for a falling c (claim 2410.06833/number-of-clusters), so that which law fits is a question of when one looks.
    """
    betas = list(case.given("betas", WANTED.get(case.tier, (25.0, 50.0, 100.0))))
    n = case.given("n", {"smoke": 160}.get(case.tier, 400))
    draws = case.given("draws", {"smoke": 1, "standard": 24, "full": 60}[case.tier])
    t = case.given("t", 10.0)
    times = t * np.array([0.5, 1.0, 2.0, 4.0, 10.0])
    solver = mf.Adaptive(rtol=1e-4, atol=1e-6, coarsen=False)
    found: dict[str, Any] = {"beta": betas, "t": times.tolist(), "n": n, "draws": draws}
    for d, law in ((2, lambda beta: np.sqrt(1.5 * beta)), (3, lambda beta: beta / np.sqrt(3))):
        stated, means, errors = np.array([law(beta) for beta in betas]), [], []
        for beta in betas:
            rows = []
            for draw in range(draws):
                points = normalised(case.generator(f"start {d} {draw}").normal(size=(n, d)))
                tokens = mf.Tokens(mf.Sphere(d), points)
                path = mf.flow(tokens, mf.SelfAttention(beta), until=times[-1], save=times, solver=solver)
                rows.append(np.asarray(mf.observe.clusters(path, delta=1 - np.cos(0.5 / np.sqrt(beta))).count))
            means.append(np.mean(rows, axis=0))
            errors.append(np.std(rows, axis=0) / np.sqrt(max(draws - 1, 1)))
        counts, error = np.array(means), np.array(errors)
        found[f"clusters over t, d = {d}"] = counts.tolist()
        found[f"over the peaks at t = {t:g}, d = {d}"] = (counts[:, 1] / stated).tolist()
        if draws > 1:
            found[f"standard errors at t = {t:g}, d = {d}"] = error[:, 1].tolist()
        if draws > 1 and d == 2:
            for name, other in (("sqrt(3 beta/2)", stated), ("sqrt(2 beta)", np.sqrt(2.0 * np.array(betas)))):
                with np.errstate(divide="ignore", invalid="ignore"):  # few draws may all count the same
                    found[f"standard errors from {name}"] = ((counts[:, 1] - other) / error[:, 1]).tolist()
    return found


@how_many_clusters_stand_at_the_first_plateau.figure
def clusters_by_beta(findings: Findings, ax: Any) -> None:
    """Draw the number of clusters over beta on circle and sphere, with how it falls, and the laws that might hold."""
    found = findings.found
    betas, times = np.array(found["beta"]), found["t"]
    fine = np.geomspace(betas.min(), betas.max(), 50)
    for d, colour, marker in ((2, ACCENT[0], "o"), (3, ACCENT[1], "s")):
        counts = np.array(found[f"clusters over t, d = {d}"])
        ax.vlines(betas, counts.min(axis=1), counts.max(axis=1), color=colour, lw=1, alpha=0.6)
        for k in range(len(times)):
            ax.plot(betas, counts[:, k], "_", color=colour, ms=8, alpha=0.6)
        errors = found.get(f"standard errors at t = {times[1]:g}, d = {d}", 0.0)
        label = f"{'circle' if d == 2 else 'sphere'}, t = {times[1]:g}"
        ax.errorbar(betas, counts[:, 1], yerr=errors, fmt=marker, color=colour, ms=8, capsize=4, label=label)
    ax.plot(fine, np.sqrt(1.5 * fine), "--", color=THEORY, label=r"peaks of a density, circle: $(3\beta/2)^{1/2}$")
    ax.plot(fine, fine / np.sqrt(3), "-.", color=THEORY, label=r"peaks of a density, sphere: $\beta/3^{1/2}$")
    ax.plot(fine, np.sqrt(2 * fine), ":", color=THEORY, label=r"dominant mode, circle: $(2\beta)^{1/2}$")
    ax.plot([], [], "_", color=MUTED, ms=8, label=f"from t = {times[0]:g} (top) to {times[-1]:g}")
    ax.set(xscale="log", yscale="log", xlabel=r"$\beta$", ylabel="clusters", title=f"{found['n']} uniform tokens")
    ax.legend(fontsize=10)
