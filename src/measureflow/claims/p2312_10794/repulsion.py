"""Repulsion on the sphere: tokens that flee each other end as simplices and sharp configurations; hardmax at a tie."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import cloud, follow, gram, normalised
from measureflow.paths.style import ACCENT, INK, THEORY

#: tokens of most instances: those beyond the first have no mass, and coordinates beyond the first are 0, so that they
#: are of one shape
TOKENS, D, FRAME = 12, 3, 5
#: numbers of tokens and dimensions whose minimisers are looked at; of the last it is not sharp
SHAPES = ((6, 3), (12, 3), (8, 4), (5, 3))
#: the golden ratio
GOLDEN = (1 + 5**0.5) / 2


def repelled(case: Case, n: int, beta: float, until: float, draw: int = 0, d: int = D) -> np.ndarray:
    """Return where n tokens of the sphere of R^d end that flee each other under SA with V = -I, uniform at first."""
    return fleeing(case, n, beta, np.array([until]), draw, d)[0]


def fleeing(case: Case, n: int, beta: float, times: np.ndarray, draw: int = 0, d: int = D) -> np.ndarray:
    """Return where such tokens are at some times."""
    size, frame = max(TOKENS, n), max(FRAME, d)
    points = np.asarray(cloud(case, d=d, n=size * (draw + 1)).points)[size * draw :]
    masses = np.where(np.arange(size) < n, 1.0 / n, 0.0)
    start = mf.Tokens(mf.Sphere(frame), np.pad(points, ((0, 0), (0, frame - d))), masses)
    return follow(case, start, mf.SelfAttention(beta, value=-1.0), times, rtol=1e-9)[:, :n, :d]


def energy(points: np.ndarray, beta: float) -> float:
    """Return the energy of tokens of equal mass."""
    return float(np.exp(beta * (gram(points) - 1.0)).mean())


def sharp_configuration(n: int, d: int = D) -> np.ndarray:
    """Return the simplex or the cross-polytope of R^d, or the icosahedron."""
    if n <= d + 1:
        simplex = np.eye(n) - 1.0 / n
        basis = np.linalg.svd(simplex)[2][: n - 1]
        points = np.pad(simplex @ basis.T, ((0, 0), (0, d - n + 1)))
    elif n == 2 * d:
        points = np.concatenate([np.eye(d), -np.eye(d)])
    else:
        edges = np.array([[0.0, s, t * GOLDEN] for s in (-1, 1) for t in (-1, 1)])
        points = np.concatenate([np.roll(edges, k, axis=1) for k in range(3)])
    return normalised(points)


def angles_of(points: np.ndarray) -> np.ndarray:
    """Return the inner products of different tokens, in order."""
    return np.sort(gram(points)[np.triu_indices(len(points), 1)])


@claim(
    "2312.10794",
    "section 9.2, repulsive V",
    covers=["V23"],
    status="numerical",
    states=lambda n: -1.0 / (n - 1),
)
def repelled_tokens_form_a_simplex(case: Case) -> None:
    """Under V = -I, n <= d + 1 tokens converge from a random start to a regular simplex, of cosine -1/(n - 1)."""
    n, d = case.choose("n, d", [(2, 3), (3, 2), (6, 5), (3, 3), (4, 3), (4, 5)])
    n, d, beta = case.given("n", n), case.given("d", d), case.draw("beta", 0.5, 2.0)
    case.require("there are two tokens and more, at most d + 1, and beta is positive", 2 <= n <= d + 1 and beta > 0)
    ends = repelled(case, n, beta, until=time_of_a_simplex(n, beta), d=d)
    because = "rtol 1e-9 a step, and 60 times e^(beta (1 + 1/(n - 1))), the time scale of so small weights"
    case.compare(angles_of(ends), case.predict(n), within=1e-6, because=because, name="cosines of the pairs")


def time_of_a_simplex(n: int, beta: float) -> float:
    """Return a time by which n tokens are at rest: the weights are as small as e^(-beta n/(n - 1)), and differ by beta
    of it; many tokens share them."""
    return 60.0 * float(np.exp(beta * n / (n - 1))) * max(1.0, 0.5 / beta) ** 1.5 * max(1.0, n / 6) ** 2


@repelled_tokens_form_a_simplex.figure
def towards_a_simplex(case: Case, ax: Any) -> None:
    """Draw the cosines of all pairs over time, and that of a simplex."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    times = np.geomspace(1e-3, 1.0, 60) * time_of_a_simplex(n, beta)
    seen = gram(fleeing(case, n, beta, times, d=d))[:, *np.triu_indices(n, 1)]
    ax.semilogx(times, seen, color=ACCENT[0], lw=1.2)
    ax.plot([], [], color=ACCENT[0], lw=1.2, label="pairs of tokens under $V=-I$")
    ax.axhline(case.predict(n), ls="--", color=THEORY, label=rf"$-1/(n-1)={case.predict(n):.3g}$")
    ax.set(
        xlabel="time $t$", ylabel=r"cosine $\langle x_i, x_j\rangle$", title=rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$"
    )
    ax.legend()


@repelled_tokens_form_a_simplex.mutation
def one_token_too_many(n: int) -> float:
    """-1/n stands for -1/(n - 1)."""
    return -1.0 / n


@repelled_tokens_form_a_simplex.mutation
def orthogonal_tokens(_n: int) -> float:
    """Tokens end orthogonal to each other, as if they did not see the other side."""
    return 0.0


def zonal_means(cosines: np.ndarray, most: int, d: int) -> np.ndarray:
    """Return the means over the last two axes of the zonal harmonics of degree 0 to most, which are 1 at cosine 1."""
    from scipy.special import eval_gegenbauer

    alpha = d / 2 - 1
    harmonics = [eval_gegenbauer(k, alpha, cosines) / eval_gegenbauer(k, alpha, 1.0) for k in range(most + 1)]
    return np.mean(harmonics, axis=(-2, -1))


def design_defect(points: np.ndarray) -> float:
    """Return how far tokens are from sharp: with m inner products they must average degree 2m - 1 like the sphere."""
    m = len(mf.observe.levels(angles_of(points), within=1e-3))
    # sum over all pairs of a zonal harmonic is 0 exactly where all harmonics of that degree average to 0
    return float(np.abs(zonal_means(gram(points), 2 * m - 1, points.shape[1])[1:]).max())


@claim(
    "2312.10794",
    "Theorem 9.2",
    covers=["E14"],
    status="erratum",
    states={"least": lambda n, beta, d: energy(sharp_configuration(n, d), beta), "sharp": lambda n: float(n != 5)},
)
def sharp_configurations_are_minimisers_and_not_all_minimisers_are_sharp(case: Case) -> None:
    """A sharp configuration minimises the energy at every beta; of five tokens the minimiser is not sharp.

    Sharp: m inner products between different tokens, and a spherical design of strength 2m - 1. On S² the simplex,
    the octahedron (n = 6) and the icosahedron (n = 12) are, on S³ the cross-polytope (n = 8). A flow with V = -I from a
    random start stands for the minimiser.
    """
    beta, until = case.draw("beta", 1.0, 2.0), case.given("t", 4000.0)
    case.require("beta is positive", beta > 0)
    for n, d in SHAPES:
        found = repelled(case, n, beta, until=until, d=d)
        if n != 5:
            least = case.statement.least(n, beta, d)
            because = "energies are quadratic in the distance of 1e-6 from a minimum"
            # tokens flee slowly where weights are small, and where a kernel has few harmonics
            rests = until >= max(500 * np.exp(beta), 4000 / beta**5)
            case.require("the tokens have the time to come to rest", rests)
            case.compare(energy(found, beta), least, within=1e-9, because=because, name=f"energy, n = {n}")
        sharp = float(design_defect(found) < 1e-4)
        because = "yes or no"
        case.compare(sharp, case.statement.sharp(n), within=0.05, because=because, name=f"sharp, n = {n}")


@sharp_configurations_are_minimisers_and_not_all_minimisers_are_sharp.figure
def cosines_at_the_end(case: Case, ax: Any) -> None:
    """Draw the cosines of the pairs at the end of each number of tokens, over those of the sharp configuration."""
    beta, until = case.instance["beta"], case.instance["t"]
    for row, (n, d) in enumerate(SHAPES):
        found = angles_of(repelled(case, n, beta, until=until, d=d))
        if n != 5:
            sharp = mf.observe.levels(angles_of(sharp_configuration(n, d)), within=1e-6)
            ax.plot(sharp, np.full(len(sharp), row), "|", color=THEORY, ms=34, mew=2)
        ax.plot(found, np.full(len(found), row), "o", color=ACCENT[0], ms=7, alpha=0.5)
    ax.plot([], [], "o", color=ACCENT[0], label="pairs of tokens at rest")
    ax.plot([], [], "|", color=THEORY, ms=12, mew=2, label="sharp configuration")
    ax.set_yticks(range(len(SHAPES)), [f"$n={n}$\n$d={d}$" for n, d in SHAPES])
    ax.set(xlabel=r"cosine $\langle x_i, x_j\rangle$", title=rf"$V=-I$, $\beta={beta:.2f}$; five tokens are not sharp")
    ax.set_ylim(-0.6, len(SHAPES) + 0.2)
    ax.legend(loc="upper right", ncols=2)


@sharp_configurations_are_minimisers_and_not_all_minimisers_are_sharp.mutation("sharp")
def converse(_n: int) -> float:
    """The printed converse: every minimiser is sharp."""
    return 1.0


@sharp_configurations_are_minimisers_and_not_all_minimisers_are_sharp.mutation("least")
def uniform_measure(_n: int, beta: float, _d: int) -> float:
    """The energy of the uniform measure on S² is reached by so few tokens."""
    return float((1 - np.exp(-2 * beta)) / (2 * beta))


def followers(points: np.ndarray, off: tuple[float, float], times: np.ndarray, case: Case) -> np.ndarray:
    """Return where a token near 0 goes under hardmax."""
    start = mf.Tokens(mf.Euclidean(2), np.concatenate([points, [off]]))
    field = mf.RescaledAttention(weighting="hardmax", value=1.0)
    return follow(case, start, field, times, rtol=1e-10)[:, 2]


@claim(
    "2312.10794",
    "section 9.3, non-uniqueness of hardmax dynamics",
    covers=["HARD"],
    states={"goal": lambda points, which: points[which].mean(axis=0), "left": lambda t: np.exp(-t)},
    id="2312.10794/HARD",
)
def hardmax_dynamics_are_not_unique_at_a_tie(case: Case) -> None:
    """From z_3 = 0 between leaders z_1, z_2 hardmax leads to z_1, to z_2 or to their mean: starts 1e-9 apart decide."""
    points = leaders(case.given("x", 1.0), case.given("y", 1.0))
    times, off = np.array([0.5, 2.0, 4.0]), case.draw("off", 1e-10, 1e-8, log=True)
    case.require(
        "the leaders are apart and above 0, and the start is off a little", points.min(axis=0)[1] > 0 < off < 1e-6
    )
    case.require("the first leader is on the right", points[0, 0] > 0)
    because = "the start is off by 1e-8, and rtol is 1e-10"
    for which, start in (([0], (off, 0.0)), ([1], (-off, 0.0)), ([0, 1], (0.0, off))):
        z = followers(points, start, times, case)
        goal = case.statement.goal(points, which)
        expected = goal * (1 - case.statement.left(times))[:, None]
        name, over = f"place of the token, towards {[k + 1 for k in which]}", {"t": times}
        case.compare(z.T, expected.T, within=1e-6, because=because, name=name, over=over)


def leaders(x: float, y: float) -> np.ndarray:
    """Return two leaders, seen alike from 0."""
    return np.array([[x, y], [-x, y]])


@hardmax_dynamics_are_not_unique_at_a_tie.figure
def three_ways_from_a_tie(case: Case, ax: Any) -> None:
    """Draw the ways of three tokens that start next to the tie, and the three ends that are stated."""
    off, points = case.instance["off"], leaders(case.instance["x"], case.instance["y"])
    times = np.array([0.5, 2.0, 4.0])
    starts = (([0], (off, 0.0)), ([1], (-off, 0.0)), ([0, 1], (0.0, off)))
    for shade, (which, start) in zip(ACCENT, starts, strict=True):
        z = np.concatenate([[start], followers(points, start, times, case)])
        ax.plot(*z.T, "o-", color=shade, label=f"towards {' and '.join(f'$z_{k + 1}$' for k in which)}")
        ax.plot(*case.statement.goal(points, which), "x", color=THEORY, ms=10, mew=2, zorder=1)
    ax.plot(*points.T, "s", color=INK, ms=10, mfc="none", label="leaders $z_1$, $z_2$")
    ax.plot([], [], "x", color=THEORY, ms=10, mew=2, label="stated ends")
    exponent = np.log10(off)
    ax.set(
        xlabel="first coordinate",
        ylabel="second coordinate",
        title=rf"started $10^{{{exponent:.1f}}}$ off the tie at 0",
    )
    ax.legend()


@hardmax_dynamics_are_not_unique_at_a_tie.mutation("goal")
def always_the_mean(points: np.ndarray, _which: list[int]) -> np.ndarray:
    """The mean of the tied tokens is the one solution."""
    return points.mean(axis=0)


@hardmax_dynamics_are_not_unique_at_a_tie.mutation("left")
def itself_shares(t: np.ndarray) -> np.ndarray:
    """The token itself stays tied: it moves at two thirds of the speed."""
    return np.exp(-2 * t / 3)
