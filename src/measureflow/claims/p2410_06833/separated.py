"""Which tokens are separated: mixtures of narrow Gaussians, frames in high dimension, and hardly any on the circle."""

from __future__ import annotations

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised


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
    for n in (2, 3, 4, 6):
        angles = case.generator(f"angles {n}").uniform(0.0, 2 * np.pi, (draws if n == 2 else draws // 8, n))
        found = case.measure(theory.are_separated_on_circle, angles, beta=beta, epsilon=epsilon)
        stated = case.predict(n, beta=beta, epsilon=epsilon)
        within = 6.0 * 0.5 / np.sqrt(len(angles))
        because = f"six standard errors of a fraction of {len(angles):,} draws"
        if n == 2:
            case.compare(found.mean(), stated, within=within, because=because, name="two tokens")
        else:
            case.at_most(found.mean(), stated, within=within, because=because, name=f"{n} tokens")


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
    case.compare(found.mean(), 0.0, within=0.01, because="a share of 200 pairs", name="two tokens on the circle")
    # two tokens of one cap of S^2 at its rim, one of them opposite
    around, height = 2 * np.pi * np.arange(64) / 64, 1 - epsilon
    side = np.sqrt(1 - height**2)
    rim = np.stack([side * np.cos(around), side * np.sin(around), np.full(64, height)], axis=1)
    least = (1 - (rim @ rim.T).min()) / epsilon
    because = "2 epsilon from the next order"
    case.at_most(least, (1 - high) / epsilon, within=0.02, because=because, name="least inner product in a cap")
    beta, most = case.draw("beta", 12.0, 24.0), 0.0
    sizes = np.geomspace(1e-3, 0.06, 15)
    for log_n in np.linspace(0.02, 2.4, 120) * beta:
        margins = [theory.margin_of_separation(int(np.exp(log_n)), beta=beta, epsilon=e, overlap=-1.0) for e in sizes]
        most = log_n if max(margins) > 0 else most
    because = "the step of the search"
    case.at_most(most / beta, case.statement.most(beta) / beta, within=0.025, because=because, name="log n / beta")


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
    d, n, noise = 16, case.draw("tokens", 4, 32, integer=True), case.draw("noise", 1e-4, 1e-3, log=True)
    generator, repetitions = case.generator("gaussians"), 2000
    centre = np.eye(d)[0]
    drawn = normalised(centre + noise * generator.normal(size=(repetitions, n, d)))
    off = 0.5 * ((drawn - centre) ** 2).sum(axis=-1).max(axis=1)  # 1 - cosine, from differences
    measured = float((off <= case.predict(n, d=d, noise=noise)).mean())
    because = f"fraction of {repetitions:,} draws where at most 2e-7 of them may fail"
    case.at_least(measured, 1.0 - 2.0 * np.exp(-d), within=0.01, because=because)


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
    generator, centres, group = np.random.default_rng(seed), np.eye(d)[:4], np.arange(n) % 4
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
    d, n, noise = 16, case.draw("tokens", 1000, 1400, integer=True), case.draw("noise", 1e-3, 3e-3, log=True)
    doubt, beta, repetitions = case.draw("s", 1.6, 2.0), case.draw("beta", 60.0, 80.0), 150
    case.require("delta r < 1", noise * np.sqrt(2 * (np.log(n) + doubt)) < 1)
    off, apart = case.measure(seen_of_gaussians, n, d, noise, repetitions, case.seed)
    size = case.statement.size(n, d=d, noise=noise, doubt=doubt)
    measured = float((off <= size).mean())
    because = f"a standard error of a fraction of {repetitions} draws is at most 0.04, and hardly any of them fails"
    case.at_least(measured, 1.0 - 2.0 * np.exp(-doubt), within=0.04, because=because)
    own = likely_size(n, d=d, noise=noise, doubt=doubt)
    overlap = case.statement.overlap(np.eye(d)[:4], own)
    margin = theory.margin_of_separation(n, beta=beta, epsilon=own, overlap=overlap)
    case.require("the tokens are separated", margin > 0)
    because = "rounding; the caps of the overlap have twice the size"
    case.at_most(apart, overlap, within=1e-4, because=because, name="largest inner product of two caps")


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
    count, generator = 4, case.generator("centres")
    centres = np.sqrt(count) * normalised(generator.normal(size=(count, d)))
    line = np.linspace(-2.0 - 8.0 * sigma, 2.0 + 8.0 * sigma, 161 if d == 2 else 81)
    grid = np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d)
    bumps = [np.exp(-((grid - centre) ** 2).sum(axis=1) / (2 * sigma**2)).sum() for centre in centres]
    mass = (line[1] - line[0]) ** d * np.mean(bumps) / case.predict(sigma, d)
    case.compare(mass, 1.0, within=1e-6, because="trapezoids of width below sigma, and tails beyond 8 sigma")


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
    d, n = case.choose("d", [512, 1024, 2048]), 6
    points = normalised(case.generator("uniform").normal(size=(n, d)))
    left, _, right = np.linalg.svd(points, full_matrices=False)
    frame = left @ right  # the nearest one
    measured = np.linalg.norm(points - frame, axis=1)
    case.at_most(measured, case.statement.distance(d), within=1e-3, because="rounding; the bound itself is random")
    epsilon, beta = case.draw("epsilon", 1e-3, 1.5e-2), 1e4
    overlap = theory.largest_overlap_of_caps(np.eye(n), epsilon)
    margin = theory.margin_of_separation(n, beta=beta, epsilon=epsilon, overlap=overlap)
    because = "rounding: the margin is at least what the condition leaves"
    case.at_least(margin, 1.0 - case.statement.needed(epsilon, beta, n), within=1e-9, because=because, name="margin")


@uniform_tokens_in_high_dimension_are_near_a_frame.mutation("distance")
def root_lost(d: int) -> float:
    """The distance is of the order 1/d."""
    return float(np.sqrt(4.0 * np.log(d)) / d)


@uniform_tokens_in_high_dimension_are_near_a_frame.mutation("needed")
def squares_as_printed_in_the_proof(epsilon: float, beta: float, n: int) -> float:
    """The overlap of the printed proof: epsilon^2 + 2 epsilon."""
    return epsilon**2 + 14.0 * epsilon + np.log(2 * n * n / epsilon) / beta
