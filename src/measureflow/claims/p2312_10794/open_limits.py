"""Open questions: a closure of the hierarchy, noise without a gradient, waiting times, and how fast twins part."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration, replica
from measureflow.claims.instances import MAX_STEPS, N, cloud
from measureflow.claims.p2312_10794.hierarchy import evolved, moved, pull
from measureflow.paths.style import ACCENT, INK, MUTED, THEORY, shades

#: replicas of the closure, and starts of the other studies
REPLICAS, STARTS = {"smoke": 4000, "standard": 24_000, "full": 120_000}, {"smoke": 4, "standard": 24, "full": 120}
#: where noise is looked at, and numbers of tokens and dimensions of times to consensus
MANY = (0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 16.0)
BETAS = {"smoke": (1.0, 4.0)}
SIZES = {
    "smoke": ((8, 3),),
    "standard": ((4, 3), (8, 3), (16, 3), (8, 2), (8, 16)),
    "full": (
        *((4, 3), (8, 3), (16, 3), (32, 3), (64, 3)),
        *((8, 2), (8, 4), (8, 16), (8, 64), (32, 2), (32, 16)),
    ),
}


def kirkwood(modes: np.ndarray, beta: float, size: int = 256) -> np.ndarray:
    """Return E[pull(theta_3) | theta_1 = 0, theta_2 = x] on a grid of x, under the superposition psi(y) psi(x - y).

    `modes` are E cos(kx), k = 1, 2, ..., of the law psi of one difference.
    """
    places = 2 * np.pi * np.arange(size) / size
    waves = np.cos(np.outer(places, np.arange(1, len(modes) + 1)))
    psi = np.maximum(1 + 2 * waves @ modes, 0)
    joint = psi[None] * psi[(np.arange(size)[:, None] - np.arange(size)) % size]
    return joint @ pull(places, beta) / joint.sum(axis=1)


@exploration("2312.10794", "Problem 4", covers=["P4"])
def which_closure_reproduces_the_two_particle_law(case: Case) -> dict[str, Any]:
    """How does E[-h'(theta_3) | theta_1 = 0, theta_2 = x] depend on the law of theta_2 - theta_1 alone?

    For independent uniform tokens on the circle under USA the law psi of one difference obeys a continuity equation
    whose velocity has that unknown g. This measures d/dt E cos(kx) three ways: exactly from the particles; with g from
    the three-particle law; and with g of Kirkwood's superposition psi(x) psi(y) psi(x-y). The relative errors say how
    good the closure is; leaving g out (independent third token) is the null.
    """
    n, beta = case.given("n", 6), case.draw("beta", 1.0, 3.0)
    replicas = case.given("replicas", REPLICAS[case.tier])
    theta = case.generator("angles").uniform(0, 2 * np.pi, (replicas, n))
    clock = case.given("t e^beta / n", 0.5)
    theta = evolved(theta, beta, clock * n / np.exp(beta), 12)
    speeds = moved(theta, beta)
    one, two = theta[:, 0], theta[:, 1]
    x = two - one
    degrees = np.arange(1, 4)
    waves = -degrees * np.sin(np.outer(x, degrees))
    exact = (waves * (speeds[:, 1] - speeds[:, 0])[:, None]).mean(axis=0)
    # v = -2 pull(x)/n - 2 (n-2)/n g(x), g = E[pull(theta_3 - theta_1)]; g as it is, one replica at a time
    near = -2.0 / n * pull(x, beta)
    third = pull(theta[:, 2:] - one[:, None], beta).mean(axis=1)
    measured = (waves * (near - 2.0 * (n - 2) / n * third)[:, None]).mean(axis=0)
    guess = kirkwood(np.cos(np.outer(x, np.arange(1, 13))).mean(axis=0), beta)
    places = 2 * np.pi * np.arange(len(guess)) / len(guess)
    guessed = np.interp(x % (2 * np.pi), places, guess, period=2 * np.pi)
    closed = (waves * (near - 2.0 * (n - 2) / n * guessed)[:, None]).mean(axis=0)
    alone = (waves * near[:, None]).mean(axis=0)
    scale = np.abs(exact).max()
    return {
        "n": n,
        "beta": beta,
        "t": float(clock * n / np.exp(beta)),
        "d/dt E cos(kx), k = 1, 2, 3": {
            "exact": exact.tolist(),
            "with the measured g": measured.tolist(),
            "with Kirkwood's closure": closed.tolist(),
            "without a third token": alone.tolist(),
        },
        "mean resultant of a pair": float(np.cos(x).mean()),
        "with the measured g": float(np.abs(measured - exact).max() / scale),
        "with Kirkwood's closure": float(np.abs(closed - exact).max() / scale),
        "without a third token": float(np.abs(alone - exact).max() / scale),
    }


@which_closure_reproduces_the_two_particle_law.figure
def changes_of_the_pair_law(findings: Findings, ax: Any) -> None:
    """Draw how fast the first waves of the pair law change, as it is and under each closure."""
    found = findings.found
    rows = found["d/dt E cos(kx), k = 1, 2, 3"]
    degrees = np.arange(1, 4)
    ax.bar(degrees, rows["exact"], width=0.7, color=MUTED, alpha=0.35, label="exact, from the particles")
    looks = {
        "with the measured g": ("o", ACCENT[1], "three-particle law", "white"),
        "with Kirkwood's closure": ("D", THEORY, "Kirkwood's superposition", THEORY),
        "without a third token": ("x", INK, "null: no third token", INK),
    }
    for shift, (name, (marker, colour, said, face)) in zip((-0.18, 0.0, 0.18), looks.items(), strict=True):
        label = f"{said}: off by {found[name]:.1%}"
        ax.plot(degrees + shift, rows[name], marker, ms=9, color=colour, mfc=face, label=label)
    ax.set_xticks(degrees)
    ax.set(xlabel="wave $k$", ylabel=r"$\frac{d}{dt}\, E\cos k(\theta_2 - \theta_1)$")
    head = rf"n = {found['n']} tokens on the circle, $\beta$ = {found['beta']:.2f}, t = {found['t']:.2f}"
    ax.legend(title=head, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


@exploration("2312.10794", "Problem 7", covers=["P7"])
def where_does_noise_win_over_softmax_attention(case: Case) -> dict[str, Any]:
    """Where does the uniform law lose to a polarised state under SA with noise, which has no known energy?

    On the circle every symmetric SA field is (1/beta) grad log(K * mu), so that states at rest obey
    mu ~ (K * mu)^(kappa/beta). The iteration of this map from a narrow and from a wide law finds the least kappa (over
    kappa_# = beta I_0/I_1) with a polarised state: below 1 the transition is discontinuous. USA is given beside it.
    """
    angles = 2 * np.pi * np.arange(256) / 256
    betas = list(case.given("betas", BETAS.get(case.tier, MANY)))
    rounds = 600 if case.tier == "smoke" else 5000
    least, jumps = [], []
    for beta in betas:
        kernel = np.fft.fft(np.exp(beta * (np.cos(angles) - 1))).real
        ratio = theory.funk_hecke_coefficients([0, 1], beta=beta, d=2)
        onset = beta * ratio[0] / ratio[1]

        def settles(kappa: float, kernel: np.ndarray = kernel, beta: float = beta) -> float:
            mu = np.exp(20 * (np.cos(angles) - 1))
            for _ in range(rounds):
                mu = mu / mu.mean()
                new = np.exp(kappa / beta * np.log(np.maximum(np.fft.ifft(kernel * np.fft.fft(mu)).real, 1e-300)))
                mu = 0.5 * mu + 0.5 * new / new.mean()
            return float((mu * np.cos(angles)).mean())

        low, high = 0.5 * onset, 1.2 * onset
        for _ in range(9 if case.tier == "smoke" else 14):
            middle = (low + high) / 2
            low, high = (low, middle) if settles(middle) > 0.03 else (middle, high)
        least.append(high / onset)
        jumps.append(settles(high))
    usa = [theory.transition(beta=beta, d=2).spinodal / theory.critical_kappa(beta=beta, d=2) for beta in betas]
    return {"beta": betas, "SA: least kappa": least, "SA: order parameter there": jumps, "USA: spinodal": usa}


@where_does_noise_win_over_softmax_attention.figure
def onsets(findings: Findings, ax: Any) -> None:
    """Draw the least kappa with a polarised state, over that at which the uniform law turns unstable."""
    found = findings.found
    ax.plot(found["beta"], found["SA: least kappa"], "o-", color=ACCENT[0], label=r"SA: least $\kappa / \kappa_\#$")
    ax.plot(
        found["beta"],
        found["USA: spinodal"],
        "s--",
        color=THEORY,
        mfc="white",
        label="USA: spinodal, in the same units",
    )
    ax.plot(
        found["beta"],
        found["SA: order parameter there"],
        "^:",
        color=ACCENT[1],
        label="SA: order parameter at the onset",
    )
    ax.axhline(1.0, color=MUTED, lw=1, label="continuous transition")
    ax.set(xlabel=r"$\beta$", ylabel="ratio; order parameter", ylim=(-0.03, 1.15))
    ax.legend()


@exploration("2312.10794", "rates for almost every start", covers=["P11"])
def how_long_until_one_cluster_on_the_sphere(case: Case) -> dict[str, Any]:
    """How is the time to consensus of independent uniform tokens distributed, and how does it depend on n, d and beta?

    Only rates of order e^(-2 beta)/n are proved, for d >= 3. This follows tokens to consensus (8 on S^2, and from the
    standard tier on other spheres and in other numbers too) and gives quantiles of log T, and the slope of its median
    in beta: 1 - u for a last merge that starts from the cosine u. For d well beyond n tokens are nearly orthogonal and
    u is nearly 0; on the circle the last two clusters may be anywhere.
    """
    betas = list(case.given("betas", (4.0, 8.0, 16.0)))
    draws, sizes = case.given("starts", STARTS[case.tier]), case.given("n, d", SIZES[case.tier])
    case.require("there are two betas at least, for a slope", len(betas) > 1)
    solver = mf.Adaptive(rtol=1e-6, atol=1e-8, max_steps=MAX_STEPS)
    found: dict[str, Any] = {"beta": betas, "draws": draws}
    for n, d in sizes:
        quartiles = []
        for beta in betas:
            logs = []
            for draw in range(draws):
                tokens = cloud(replica(case, draw), d=d, n=n)
                path = mf.flow(
                    tokens, mf.SelfAttention(beta), until=mf.Consensus(1e-6, cap=1e200), save=[0.0], solver=solver
                )
                logs.append(np.log(float(path.times[-1])))
            quartiles.append(np.quantile(logs, [0.25, 0.5, 0.75]).tolist())
        first = min(1, len(betas) - 2)  # the smallest beta is no large one
        slope = (quartiles[-1][1] - quartiles[first][1]) / (betas[-1] - betas[first])
        found[f"n = {n}, d = {d}"] = {"quartiles of log T": quartiles, "slope of the median in beta": slope}
    return found


@how_long_until_one_cluster_on_the_sphere.figure
def times_to_consensus(findings: Findings, ax: Any) -> None:
    """Draw the quartiles of the time to consensus over beta for each n and d, with the growth of a last merge."""
    found = findings.found
    betas = np.array(found["beta"])
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    for (name, row), colour in zip(rows.items(), shades(len(rows), high=0.8), strict=True):
        low, middle, high = np.exp(np.array(row["quartiles of log T"])).T
        ax.fill_between(betas, low, high, color=colour, alpha=0.15, lw=0)
        slope = row["slope of the median in beta"]
        ax.plot(betas, middle, "o-", color=colour, label=rf"{name}: $T \sim e^{{{slope:.2f}\,\beta}}$")
    start = min(np.exp(row["quartiles of log T"][0][1]) for row in rows.values())
    for power, style, what in ((1, "--", "last merge at a right angle"), (2, ":", "rate that is proved")):
        label = rf"$e^{{{power if power > 1 else ''}\beta}}$: {what}"
        ax.plot(betas, start * np.exp(power * (betas - betas[0])), style, color=THEORY, label=label)
    ax.set(yscale="log", xlabel=r"$\beta$", ylabel=f"time to one cluster, quartiles of {found['draws']} starts")
    ax.legend()


@exploration("2312.10794", "section 4, stability", covers=["P19"])
def how_fast_may_twins_part(case: Case) -> dict[str, Any]:
    """Is the growth exponent of the largest distance between twin runs of SA bounded independently of beta?

    Not for tokens of any mass: a light token half-way between two opposite clusters parts from its twin at the rate
    beta exactly (derived), and 3 + 2 beta is proved. With n equal masses the token's own weight slows it to
    beta (n-1)/(n-1+e^beta), whose largest value over beta grows like log n: so for each n there is a bound. The study
    measures the rate, and the largest one of random starts.
    """
    beta, n, starts = case.draw("beta", 4.0, 10.0), case.given("n", N), case.given("starts", STARTS[case.tier])
    d = case.given("d", 3)
    case.require("n is at least 4: a light pair between two clusters", n >= 4)
    case.require("d is at least 2", d >= 2)

    def fastest(points: np.ndarray, masses: np.ndarray) -> float:
        tokens = mf.Tokens(mf.Sphere(d), points, masses)
        matrix = np.asarray(mf.observe.jacobian(tokens, field=mf.SelfAttention(beta)))
        return float(np.linalg.eigvals(matrix).real.max())

    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)[:, None]
    poles = signs * np.eye(d)[0]
    poles[-2:] = np.eye(d)[1]
    light = np.array([1.0] * (n - 2) + [1e-12] * 2)
    counts = np.array(case.given("numbers of equal tokens", (8, 100, 10_000, 1_000_000)))
    grid = np.linspace(0.1, 30.0, 3000)
    equal = [(grid * (count - 1) / (count - 1 + np.exp(grid))).max() for count in counts]
    random = [fastest(np.asarray(cloud(replica(case, k), d=d, n=n).points), np.full(n, 1 / n)) for k in range(starts)]
    return {
        "beta": beta,
        "tokens of random starts": n,
        "light token between two clusters": fastest(poles, light / light.sum()),
        "proved": theory.growth_of_twins(beta=beta),
        "random starts, largest": max(random),
        "n": counts.tolist(),
        "equal masses, largest over beta": equal,
    }


@how_fast_may_twins_part.figure
def growth_of_twins(findings: Findings, ax: Any) -> None:
    """Draw the largest rate of equal masses over n, beside a light token, random starts and what is proved."""
    found = findings.found
    counts, beta = np.array(found["n"], float), found["beta"]
    label = r"$n$ equal masses, largest over all $\beta$"
    ax.plot(counts, found["equal masses, largest over beta"], "o-", color=ACCENT[0], label=label)
    lines = {
        "light token between two clusters": (
            ACCENT[1],
            "-",
            rf"a light token between two clusters: $\beta$ = {beta:.2f}",
        ),
        "random starts, largest": (MUTED, "-", f"largest of random starts, n = {found['tokens of random starts']}"),
        "proved": (THEORY, "--", r"proved: $3 + 2\beta$"),
    }
    for name, (colour, style, said) in lines.items():
        ax.axhline(found[name], color=colour, ls=style, lw=1.6, label=said)
    ax.set(xscale="log", xlabel="number of equal tokens $n$", ylabel="growth exponent of twins", ylim=(0, None))
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2)
