"""Open questions: a closure of the hierarchy, noise without a gradient, waiting times, and how fast twins part."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import MAX_STEPS, cloud
from measureflow.claims.p2312_10794.hierarchy import evolved, moved, pull

#: factor of each study by tier
LARGER = {"smoke": 1, "standard": 6, "full": 30}


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
    n, beta = 6, case.draw("beta", 1.0, 3.0)
    replicas = 4000 * LARGER[case.tier]
    theta = case.generator("angles").uniform(0, 2 * np.pi, (replicas, n))
    theta = evolved(theta, beta, n / (2 * np.exp(beta)), 12)
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
        "mean resultant of a pair": float(np.cos(x).mean()),
        "with the measured g": float(np.abs(measured - exact).max() / scale),
        "with Kirkwood's closure": float(np.abs(closed - exact).max() / scale),
        "without a third token": float(np.abs(alone - exact).max() / scale),
    }


@exploration("2312.10794", "Problem 7", covers=["P7"])
def where_does_noise_win_over_softmax_attention(case: Case) -> dict[str, Any]:
    """Where does the uniform law lose to a polarised state under SA with noise, which has no known energy?

    On the circle every symmetric SA field is (1/beta) grad log(K * mu), so that states at rest obey
    mu ~ (K * mu)^(kappa/beta). The iteration of this map from a narrow and from a wide law finds the least kappa (over
    kappa_# = beta I_0/I_1) with a polarised state: below 1 the transition is discontinuous. USA is given beside it.
    """
    angles = 2 * np.pi * np.arange(256) / 256
    betas = [1.0, 4.0] if case.tier == "smoke" else [0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 16.0]
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


@exploration("2312.10794", "rates for almost every start", covers=["P11"])
def how_long_until_one_cluster_on_the_sphere(case: Case) -> dict[str, Any]:
    """How is the time to consensus of independent uniform tokens distributed, and how does it depend on n, d and beta?

    Only rates of order e^(-2 beta)/n are proved, for d >= 3. This follows tokens to consensus (8 on S^2, and from the
    standard tier on other spheres and in other numbers too) and gives quantiles of log T, and the slope of its median
    in beta: 1 - u for a last merge that starts from the cosine u. For d well beyond n tokens are nearly orthogonal and
    u is nearly 0; on the circle the last two clusters may be anywhere.
    """
    betas, draws = [4.0, 8.0, 16.0], 4 * LARGER[case.tier]
    sizes = {
        "smoke": ((8, 3),),
        "standard": ((4, 3), (8, 3), (16, 3), (8, 2), (8, 16)),
    }.get(case.tier, ((4, 3), (8, 3), (16, 3), (32, 3), (64, 3), (8, 2), (8, 4), (8, 16), (8, 64), (32, 2), (32, 16)))
    solver = mf.Adaptive(rtol=1e-6, atol=1e-8, max_steps=MAX_STEPS)
    found: dict[str, Any] = {"beta": betas, "draws": draws}
    for n, d in sizes:
        quartiles = []
        for beta in betas:
            logs = []
            for draw in range(draws):
                tokens = cloud(Case(f"{case.name} {draw}", {}, seed=case.seed), d=d, n=n)
                path = mf.flow(
                    tokens, mf.SelfAttention(beta), until=mf.Consensus(1e-6, cap=1e200), save=[0.0], solver=solver
                )
                logs.append(np.log(float(path.times[-1])))
            quartiles.append(np.quantile(logs, [0.25, 0.5, 0.75]).tolist())
        slope = (quartiles[-1][1] - quartiles[1][1]) / (betas[-1] - betas[1])
        found[f"n = {n}, d = {d}"] = {"quartiles of log T": quartiles, "slope of the median in beta": slope}
    return found


@exploration("2312.10794", "section 4, stability", covers=["P19"])
def how_fast_may_twins_part(case: Case) -> dict[str, Any]:
    """Is the growth exponent of the largest distance between twin runs of SA bounded independently of beta?

    Not for tokens of any mass: a light token half-way between two opposite clusters parts from its twin at the rate
    beta exactly (derived), and 3 + 2 beta is proved. With n equal masses the token's own weight slows it to
    beta (n-1)/(n-1+e^beta), whose largest value over beta grows like log n: so for each n there is a bound. The study
    measures the rate, and the largest one of random starts.
    """
    beta = case.draw("beta", 4.0, 10.0)

    def fastest(points: np.ndarray, masses: np.ndarray) -> float:
        tokens = mf.Tokens(mf.Sphere(3), points, masses)
        matrix = np.asarray(mf.observe.jacobian(tokens, field=mf.SelfAttention(beta)))
        return float(np.linalg.eigvals(matrix).real.max())

    signs = np.where(np.arange(8) % 2 == 0, 1.0, -1.0)[:, None]
    poles = signs * np.array([[1.0, 0.0, 0.0]])
    poles[-2:] = [0.0, 1.0, 0.0]
    light = np.array([1.0] * 6 + [1e-12] * 2)
    counts = np.array([8, 100, 10_000, 1_000_000])
    grid = np.linspace(0.1, 30.0, 3000)
    equal = [(grid * (n - 1) / (n - 1 + np.exp(grid))).max() for n in counts]
    random = [
        fastest(np.asarray(cloud(Case(f"{case.name} {k}", {}, seed=case.seed)).points), np.full(8, 1 / 8))
        for k in range(4 * LARGER[case.tier])
    ]
    return {
        "beta": beta,
        "light token between two clusters": fastest(poles, light / light.sum()),
        "proved": theory.growth_of_twins(beta=beta),
        "random starts, largest": max(random),
        "n": counts.tolist(),
        "equal masses, largest over beta": equal,
    }
