"""Which tokens are separated: mixtures of narrow Gaussians, frames in high dimension, and hardly any on the circle."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: centres of the Gaussians whose caps are compared
CENTRES = 4


@claim(
    "2410.06833",
    "uniform data on the circle",
    covers=["P1"],
    status="derived",
    states=theory.chance_of_separation,
    id="2410.06833/circle",
)
def uniform_tokens_on_the_circle_are_rarely_separated(case: Case) -> None:
    """n uniform tokens on the circle are separated with probability at most c^(n-1), and two of them with c itself."""
    beta, epsilon, draws = case.draw("beta", 12.0, 20.0), case.draw("epsilon", 0.006, 0.01), 200_000
    for n in case.given("n", (2, 3, 4, 6)):
        case.require("there are two tokens or more", n >= 2)
        angles = case.generator(f"angles {n}").uniform(0.0, 2 * np.pi, (draws if n == 2 else draws // 8, n))
        found = case.measure(theory.are_separated_on_circle, angles, beta=beta, epsilon=epsilon)
        stated = case.predict(n, beta=beta, epsilon=epsilon)
        within = 6.0 * 0.5 / np.sqrt(len(angles))
        because = f"six standard errors of a fraction of {len(angles):,} draws"
        name, over = f"chance that {n} tokens are separated", {"n": [n]}
        if n == 2:
            case.compare([found.mean()], stated, within=within, because=because, name=name, over=over)
        else:
            case.at_most([found.mean()], stated, within=within, because=because, name=name, over=over)


@uniform_tokens_on_the_circle_are_rarely_separated.figure
def chances(case: Case, ax: Any) -> Any:
    """Draw the share of separated draws against the bound, over the number of tokens."""
    found = {int(curve.places[0]): float(curve.measured[0]) for curve in case.curves}
    numbers = sorted(found)
    ax.semilogy(numbers, [found[n] for n in numbers], "o", color=ACCENT[0], label="share of draws, measured")
    given = {name: case.instance[name] for name in ("beta", "epsilon")}
    bound = [case.predict(n, **given) for n in numbers]
    ax.semilogy(numbers, bound, "--", color=THEORY, label="stated: at most $c^{n-1}$")
    ax.set(xlabel="$n$", ylabel="chance of being separated",
           title=rf"$\beta = {given['beta']:.3g}$, $\epsilon = {given['epsilon']:.2g}$")  # fmt: skip
    ax.legend()
    return ax


@uniform_tokens_on_the_circle_are_rarely_separated.mutation
def one_of_the_two_arcs(n: int, *, beta: float, epsilon: float) -> float:
    """A token forbids an arc on one side only."""
    return (0.5 + 0.5 * theory.chance_of_separation(2, beta=beta, epsilon=epsilon)) ** (n - 1)


@uniform_tokens_on_the_circle_are_rarely_separated.mutation
def caps_may_touch(n: int, *, beta: float, epsilon: float) -> float:
    """The margin is left out: caps may touch, and no arc is forbidden."""
    return 1.0


@claim(
    "2410.06833",
    "definition of separated tokens",
    covers=["4.1"],
    status="derived",
    states={"gap": lambda epsilon: (1 - 8 * epsilon, 1 - 4 * epsilon), "most": lambda beta: 2 * beta},
    id="2410.06833/obstructions",
)
def neither_half_apart_nor_too_many_tokens_are_separated(case: Case) -> None:
    """Tokens of which two have an inner product in [1 - 8 eps, 1 - 4 eps) are not separated, nor e^(2 beta) tokens.

    Derived here: two tokens of one cap have at least 2(1 - eps)^2 - 1 > 1 - 4 eps, two of different caps at most
    alpha < 1 - 8 eps; and gamma > 0 asks for 2 log n < (1 - alpha) beta, which alpha >= -1 bounds by 2 beta: even
    e^beta tokens are too many.
    """
    epsilon = case.draw("epsilon", 0.004, 0.01)
    low, high = case.statement.gap(epsilon)
    overlaps = low + (high - low) * (np.arange(200) + case.draw("offset", 0.0, 1.0)) / 200
    pairs = np.stack([np.zeros(200), np.arccos(overlaps)], axis=1)
    found = theory.are_separated_on_circle(pairs, beta=1e5, epsilon=epsilon)
    name = "share of the pairs in the gap that are separated"
    case.compare(found.mean(), 0.0, within=0.01, because="a share of 200 pairs", name=name)
    # two tokens of one cap of S^2 at its rim, one of them opposite
    around, height = 2 * np.pi * np.arange(64) / 64, 1 - epsilon
    side = np.sqrt(1 - height**2)
    rim = np.stack([side * np.cos(around), side * np.sin(around), np.full(64, height)], axis=1)
    least = (1 - (rim @ rim.T).min()) / epsilon
    because = "2 epsilon from the next order"
    case.at_most(
        least, (1 - high) / epsilon, within=0.02, because=because, name="1 - least inner product in a cap, over epsilon"
    )
    beta = case.draw("beta", 12.0, 24.0)
    case.require("e^(2.4 beta) is a number", 1.0 < beta < 250.0)
    logs = np.linspace(0.02, 2.4, 120) * beta
    separated = best_margins(logs, beta) > 0
    most, because = (float(logs[separated].max()) if separated.any() else 0.0), "the step of the search"
    name = "log of the largest number of tokens, over beta"
    case.at_most(most / beta, case.statement.most(beta) / beta, within=0.025, because=because, name=name)


def best_margins(logs: np.ndarray, beta: float) -> np.ndarray:
    """Return the largest margin of opposite caps over their sizes, for each logarithm of a number of tokens."""
    sizes = np.geomspace(1e-3, 0.06, 15)
    return np.array([
        max(theory.margin_of_separation(int(np.exp(one)), beta=beta, epsilon=e, overlap=-1.0) for e in sizes)
        for one in logs
    ])  # fmt: skip


@neither_half_apart_nor_too_many_tokens_are_separated.figure
def margin_of_many(case: Case, ax: Any) -> Any:
    """Draw the margin of opposite caps along the number of tokens, and the number that is stated to be too large."""
    beta = case.instance["beta"]
    logs = np.linspace(0.02, 2.4, 120) * beta
    ax.plot(logs / beta, best_margins(logs, beta), color=ACCENT[0], label="largest margin over the sizes of caps")
    ax.axhline(0.0, color=MUTED, lw=1, ls=":")
    ax.axvline(case.statement.most(beta) / beta, color=THEORY, ls="--", label="stated: too many from here on")
    ax.set(xlabel=r"$\log n/\beta$", ylabel=r"margin $\gamma$", title=rf"$\beta = {beta:.3g}$, opposite caps")
    ax.legend()
    return ax


@neither_half_apart_nor_too_many_tokens_are_separated.mutation("gap")
def gap_of_twice_the_distance(epsilon: float) -> tuple[float, float]:
    """Pairs at up to 16 epsilon are excluded."""
    return 1 - 16 * epsilon, 1 - 4 * epsilon


@neither_half_apart_nor_too_many_tokens_are_separated.mutation("gap")
def radius_for_the_diameter(epsilon: float) -> tuple[float, float]:
    """Two tokens of a cap have at least 1 - 2 epsilon, as if one were its centre."""
    return 1 - 8 * epsilon, 1 - 2 * epsilon


@neither_half_apart_nor_too_many_tokens_are_separated.mutation("most")
def a_quarter_of_the_exponent(beta: float) -> float:
    """e^(beta/4) tokens are too many."""
    return beta / 4


@claim(
    "2410.06833",
    "Gaussian mixtures",
    covers=["V15"],
    status="theorem",
    states=theory.spread_of_projected_gaussians,
    id="2410.06833/mixture",
)
def projected_gaussians_stay_in_their_caps(case: Case) -> None:
    """n projected Gaussian tokens lie in caps of the stated size with probability at least 1 - 2 e^(-d)."""
    d, n = case.given("d", 16), case.draw("tokens", 4, 32, integer=True)
    noise = case.draw("noise", 1e-4, 1e-3, log=True)
    case.require("d >= 2, there is a token, and its noise is positive", d >= 2 and n >= 1 and noise > 0)
    off = farthest(case, n, d, noise)
    measured = float((off <= case.predict(n, d=d, noise=noise)).mean())
    failing = 2.0 * np.exp(-d)
    because = f"fraction of {len(off):,} draws where at most {failing:.0e} of them may fail"
    within = max(0.01, 12.0 * np.sqrt(failing / len(off)))
    case.at_least(measured, 1.0 - failing, within=within, because=because, name="share of draws within their caps")


def farthest(case: Case, n: int, d: int, noise: float) -> np.ndarray:
    """Return the largest 1 - cosine with their centre of n projected Gaussian tokens, in 2000 draws."""
    centre = np.eye(d)[0]
    drawn = normalised(centre + noise * case.generator("gaussians").normal(size=(2000, n, d)))
    return 0.5 * ((drawn - centre) ** 2).sum(axis=-1).max(axis=1)  # from differences


@projected_gaussians_stay_in_their_caps.figure
def sizes_of_caps(case: Case, ax: Any) -> Any:
    """Draw how far tokens are from their centre, and the stated size of the cap."""
    n, d, noise = (case.instance[name] for name in ("tokens", "d", "noise"))
    draw_sizes(ax, farthest(case, n, d, noise), case.predict(n, d=d, noise=noise))
    ax.set_title(rf"$n = {n}$, $d = {d}$, noise {noise:.1e}")
    return ax


def draw_sizes(ax: Any, found: np.ndarray, stated: float) -> None:
    """Draw a histogram of the sizes that caps would need, and the stated one."""
    far = stated > 10 * found.max()
    bins = np.geomspace(found.min(), found.max(), 41) if far else np.linspace(found.min(), found.max(), 41)
    ax.hist(found, bins=bins, color=ACCENT[1], alpha=0.7, label="largest $1-\\cos$ in a draw")
    ax.axvline(stated, color=THEORY, ls="--", label="stated size of the cap")
    ax.set(xlabel=r"$1-\cos$ with the centre", ylabel="draws", xscale="log" if far else "linear")
    ax.legend()


@projected_gaussians_stay_in_their_caps.mutation
def one_coordinate(n: int, *, d: int, noise: float) -> float:
    """The size is that of one coordinate's square."""
    return 0.5 * noise**2


@projected_gaussians_stay_in_their_caps.mutation
def dimension_lost(n: int, *, d: int, noise: float) -> float:
    """The dimension is lost: only the logarithm of n is left."""
    return noise**2 * np.log(n)


def likely_size(n: int, *, d: int, noise: float, doubt: float) -> float:
    r"""Return $\tfrac12(\delta R/(1-\delta r))^2$, $R = \sqrt{d-1} + r$, $r = \sqrt{2(\log n+s)}$, s the doubt."""
    shrunk = np.sqrt(2.0 * (np.log(n) + doubt))
    return 0.5 * (noise * (np.sqrt(d - 1.0) + shrunk) / (1.0 - noise * shrunk)) ** 2


def seen_of_gaussians(n: int, d: int, noise: float, repetitions: int, seed: int) -> tuple[np.ndarray, float]:
    """Return each draw's largest 1 - cosine with a token's own of four centres, and the largest inner product of tokens
    of two centres in the last."""
    generator, centres, group = np.random.default_rng(seed), np.eye(d)[:CENTRES], np.arange(n) % CENTRES
    off, drawn = np.zeros(repetitions), np.zeros((n, d))
    for k in range(repetitions):
        drawn = normalised(centres[group] + noise * generator.normal(size=(n, d)))
        off[k] = 0.5 * ((drawn - centres[group]) ** 2).sum(axis=-1).max()  # from differences
    apart = float(np.where(group[:, None] == group[None, :], -1.0, drawn @ drawn.T).max())
    return off, apart


@claim(
    "2410.06833",
    "Gaussian mixtures, size of the caps",
    covers=["4.4"],
    status="derived",
    states={"size": likely_size, "overlap": theory.largest_overlap_of_caps},
    id="2410.06833/mixture-size",
)
def projected_gaussians_are_separated_in_caps_of_their_squared_noise(case: Case) -> None:
    r"""n projected Gaussian tokens lie, with probability at least $1-2e^{-s}$, in caps of size
    $\tfrac12(\delta R/(1-\delta r))^2$, $R = \sqrt{d-1}+r$, $r = \sqrt{2(\log n+s)}$: quadratic in the noise.

    Derived here: $1-\cos \le \tfrac12\tan^2$, the tangent is $\delta|g'|/(1+\delta g_1)$ with $g'$ the $d-1$ other
    coordinates, and $|g'| \le \sqrt{d-1}+r$ and $g_1 \ge -r$ fail with probability $e^{-r^2/2}$ each for one token.
    With so small a size $\gamma > 0$ from moderate beta on, and the tokens are separated.
    """
    d, n = case.given("d", 16), case.draw("tokens", 1000, 1400, integer=True)
    noise = case.draw("noise", 1e-3, 3e-3, log=True)
    case.require("there are as many dimensions and tokens as centres", d >= CENTRES and n >= CENTRES)
    doubt, beta, repetitions = case.draw("s", 1.6, 2.0), case.draw("beta", 60.0, 80.0), 150
    case.require("delta r < 1", noise * np.sqrt(2 * (np.log(n) + doubt)) < 1)
    off, apart = case.measure(seen_of_gaussians, n, d, noise, repetitions, case.seed)
    size = case.statement.size(n, d=d, noise=noise, doubt=doubt)
    measured = float((off <= size).mean())
    because = f"a standard error of a fraction of {repetitions} draws is at most 0.04, and hardly any of them fails"
    name = "share of draws within their caps"
    case.at_least(measured, 1.0 - 2.0 * np.exp(-doubt), within=0.04, because=because, name=name)
    own = likely_size(n, d=d, noise=noise, doubt=doubt)
    overlap = case.statement.overlap(np.eye(d)[:CENTRES], own)
    margin = theory.margin_of_separation(n, beta=beta, epsilon=own, overlap=overlap)
    case.require("the tokens are separated", margin > 0)
    because = "rounding; the caps of the overlap have twice the size"
    case.at_most(apart, overlap, within=1e-4, because=because, name="largest inner product of two caps")


@projected_gaussians_are_separated_in_caps_of_their_squared_noise.figure
def squared_noise(case: Case, ax: Any) -> Any:
    """Draw how far tokens are from their centre, and the stated size of the cap."""
    n, d, noise, doubt = (case.instance[name] for name in ("tokens", "d", "noise", "s"))
    off, _ = case.measure(seen_of_gaussians, n, d, noise, 150, case.seed)
    draw_sizes(ax, off, case.statement.size(n, d=d, noise=noise, doubt=doubt))
    ax.set_title(rf"$n = {n}$, $d = {d}$, $\delta = {noise:.1e}$, $s = {doubt:.2f}$")
    return ax


@projected_gaussians_are_separated_in_caps_of_their_squared_noise.mutation("size")
def one_token_for_all(n: int, *, d: int, noise: float, doubt: float) -> float:
    """The logarithm of n is dropped."""
    return likely_size(1, d=d, noise=noise, doubt=doubt)


@projected_gaussians_are_separated_in_caps_of_their_squared_noise.mutation("size")
def one_dimension(n: int, *, d: int, noise: float, doubt: float) -> float:
    """The root of the dimension is dropped."""
    return likely_size(n, d=1, noise=noise, doubt=doubt)


@projected_gaussians_are_separated_in_caps_of_their_squared_noise.mutation("overlap")
def overlap_of_their_size(centres: np.ndarray, epsilon: float) -> float:
    """The overlap is of the order of the size, as printed in the proof on frames, where it is of its root."""
    return 2.0 * epsilon + epsilon**2


@claim(
    "2410.06833",
    "Gaussian mixtures, density",
    covers=["E3"],
    status="erratum",
    states=lambda sigma, d: (2.0 * np.pi * sigma**2) ** (d / 2.0),
)
def density_of_the_mixture_has_mass_one(case: Case) -> None:
    """The mixture of Gaussians in R^d is normalised by (2 pi sigma^2)^(d/2), for sigma > 0."""
    d, sigma = case.choose("d", [2, 3]), case.draw("sigma", 0.2, 0.5)
    case.require("sigma > 0", sigma > 0)
    count, generator = case.given("centres", 4), case.generator("centres")
    case.require("there is a centre, in one to three dimensions", count >= 1 and 1 <= d <= 3)
    centres = np.sqrt(count) * normalised(generator.normal(size=(count, d)))
    line = line_of_a_grid(count, sigma, d)
    case.require("the grid can be held", len(line) ** d < 1e7)
    mass = case.measure(sum_of_bumps, centres, sigma, line) / case.predict(sigma, d)
    because = "trapezoids of width below sigma, and tails beyond 8 sigma"
    case.compare(mass, 1.0, within=1e-6, because=because, name="mass of the mixture")


def line_of_a_grid(count: int, sigma: float, d: int) -> np.ndarray:
    """Return the places of a grid along one axis, at distances below sigma."""
    radius = np.sqrt(count)
    fewest = int(np.ceil(2.0 * (radius / sigma + 8.0))) + 1
    return np.linspace(-radius - 8.0 * sigma, radius + 8.0 * sigma, max(fewest, 81 if d == 3 else 161))


def sum_of_bumps(centres: np.ndarray, sigma: float, line: np.ndarray) -> float:
    """Return the integral of the mean of e^(-|x - c|^2/(2 sigma^2)) over the centres, on a grid."""
    d = centres.shape[1]
    grid = np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d)
    bumps = [np.exp(-((grid - centre) ** 2).sum(axis=1) / (2 * sigma**2)).sum() for centre in centres]
    return float((line[1] - line[0]) ** d * np.mean(bumps))


@density_of_the_mixture_has_mass_one.figure
def normalisers(case: Case, ax: Any) -> Any:
    """Draw the integral of the bumps over sigma, the stated normaliser and the printed one."""
    d, count = case.instance["d"], case.instance["centres"]
    centres = np.sqrt(count) * normalised(case.generator("centres").normal(size=(count, d)))
    sigmas = case.instance["sigma"] * np.geomspace(0.7, 2.0, 6)
    found = [case.measure(sum_of_bumps, centres, float(s), line_of_a_grid(count, s, d)) for s in sigmas]
    ax.loglog(sigmas, found, "o", color=ACCENT[0], label="integral of the bumps")
    ax.loglog(sigmas, case.predict(sigmas, d), "--", color=THEORY, label=r"stated: $(2\pi\sigma^2)^{d/2}$")
    ax.loglog(sigmas, np.sqrt(2.0 * np.pi) * sigmas, ":", color=MUTED, label=r"printed: $(2\pi\sigma^2)^{1/2}$")
    ax.set(xlabel=r"$\sigma$", ylabel="normaliser", title=f"$d = {d}$, {count} centres")
    ax.legend()
    return ax


@density_of_the_mixture_has_mass_one.mutation
def one_dimensional_as_printed(sigma: float, d: int) -> float:
    """The printed form: the normaliser of one dimension."""
    return float(np.sqrt(2.0 * np.pi * sigma**2))


@density_of_the_mixture_has_mass_one.mutation
def sigma_not_squared(sigma: float, d: int) -> float:
    """sigma stands where its square belongs."""
    return (2.0 * np.pi * sigma) ** (d / 2.0)


@claim(
    "2410.06833",
    "uniform data in high dimension, nearness to a frame",
    covers=["E2"],
    status="theorem",
    states={
        "distance": lambda d: np.sqrt(4.0 * np.log(d) / d),
        "needed": lambda epsilon, beta, n: 4.0 * np.sqrt(epsilon) + 12.0 * epsilon + np.log(2 * n * n / epsilon) / beta,
    },
    id="2410.06833/frames",
)
def uniform_tokens_in_high_dimension_are_near_a_frame(case: Case) -> None:
    """n << d uniform tokens are within sqrt(4 log d / d) of an orthonormal frame, and so separated where it says so."""
    d, n = case.choose("d", [512, 1024, 2048]), case.given("n", 6)
    case.require("n << d", 2 <= n <= d / 50)
    points = normalised(case.generator("uniform").normal(size=(n, d)))
    left, _, right = np.linalg.svd(points, full_matrices=False)
    frame = left @ right  # the nearest one
    measured = np.linalg.norm(points - frame, axis=1)
    because, over = "rounding; the bound itself is random", {"token": 1 + np.arange(n)}
    name = "distance of a token from the frame"
    case.at_most(measured, case.statement.distance(d), within=1e-3, because=because, name=name, over=over)
    epsilon, beta = case.draw("epsilon", 1e-3, 1.5e-2), case.given("beta", 1e4)
    overlap = theory.largest_overlap_of_caps(np.eye(n), epsilon)
    margin = theory.margin_of_separation(n, beta=beta, epsilon=epsilon, overlap=overlap)
    because = "rounding: the margin is at least what the condition leaves"
    case.at_least(margin, 1.0 - case.statement.needed(epsilon, beta, n), within=1e-9, because=because, name="margin")


@uniform_tokens_in_high_dimension_are_near_a_frame.figure
def nearness(case: Case, ax: Any) -> Any:
    """Draw the distances from the nearest frame over the dimension, up to the one of the instance."""
    n, largest = case.instance["n"], case.instance["d"]
    dims = np.unique(np.geomspace(min(8 * n, largest), largest, 7).astype(int))
    generator = case.generator("uniform of a picture")
    for d in dims:
        left, _, right = np.linalg.svd(points := normalised(generator.normal(size=(n, d))), full_matrices=False)
        away = np.linalg.norm(points - left @ right, axis=1)
        ax.loglog(np.full(n, d), away, "o", color=ACCENT[0], ms=4, label="tokens" if d == largest else "")
    ax.loglog(dims, case.statement.distance(dims), "--", color=THEORY, label=r"stated: at most $\sqrt{4\log d/d}$")
    ax.set(xlabel="$d$", ylabel="distance from an orthonormal frame", title=f"$n = {n}$")
    ax.legend()
    return ax


@uniform_tokens_in_high_dimension_are_near_a_frame.mutation("distance")
def root_lost(d: int) -> float:
    """The distance is of the order 1/d."""
    return float(np.sqrt(4.0 * np.log(d)) / d)


@uniform_tokens_in_high_dimension_are_near_a_frame.mutation("needed")
def squares_as_printed_in_the_proof(epsilon: float, beta: float, n: int) -> float:
    """The overlap of the printed proof: epsilon^2 + 2 epsilon."""
    return epsilon**2 + 14.0 * epsilon + np.log(2 * n * n / epsilon) / beta
