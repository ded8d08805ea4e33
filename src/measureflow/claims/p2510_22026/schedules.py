"""The schemes at work: a random transformer, and schedules made for a wanted cosine."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.figures import figure
from measureflow.claims.instances import N, normalised
from measureflow.claims.p2510_22026.instances import TITLES, at_radius, run, scheme_of
from measureflow.paths.style import ACCENT, FAINT, THEORY, caption
from measureflow.paths.style import figure as sheet

#: the figure's sizes by tier: dimension, tokens, layers, networks
SIZES = {"smoke": (32, 16, 12, 1), "standard": (128, 64, 64, 4), "full": (512, 256, 128, 4)}


@figure("2512.01868", "normalisation figure")
def mean_cosine_through_a_random_transformer(case: Case) -> Any:
    """Mean cosine of the tokens against the layer, with the band that holds 90 % of the pairs, for every scheme.

    One head, d = 512, beta = sqrt d, n < d uniform tokens, query, key and value of every layer drawn anew with entries
    N(0, 1/d) (Kaiming, gain 1), step 1. Our source does not say n, the depth, alpha and the switch: n = 256, 128
    layers, alpha = 0.3, a switch after a sixteenth of the depth (after a quarter all have met). Post-LN ends first;
    Peri-LN and nGPT start at once; Pre-LN and Mix-LN have slow tails.
    """
    d, n = case.given("d", SIZES[case.tier][0]), case.given("n", SIZES[case.tier][1])
    depth, networks = case.given("layers", SIZES[case.tier][2]), case.given("networks", SIZES[case.tier][3])
    alpha, beta = case.given("alpha", 0.3), case.given("beta", float(np.sqrt(d)))
    schemes = {name: mf.MixLN(depth / 16) if name == "mix" else scheme_of(name, alpha) for name in theory.SCHEMES}
    found: dict[str, list[np.ndarray]] = {name: [] for name in schemes}
    for k in range(networks):
        tokens, blocks = random_network(case.generator(f"network {k}"), d, n, depth, beta)
        for name, scheme in schemes.items():
            found[name].append(pair_cosines(at_radius(name, tokens), blocks, scheme))
    drawing = sheet(11.0, 6.4)
    panels = drawing.subplots(2, 3, sharex=True, sharey=True)
    for name, ax in zip(schemes, panels.flat, strict=True):
        cosines = np.concatenate(found[name], axis=1)
        low, high = np.quantile(cosines, (0.05, 0.95), axis=1)
        layers = np.arange(depth + 1)
        ax.fill_between(layers, low, high, color=FAINT, lw=0, label="90 % of pairs")
        ax.plot(layers, cosines.mean(axis=1), color=ACCENT[0], label="mean")
        ax.set(title=TITLES[name], ylim=(-0.25, 1.03), xlim=(0, depth))
    for ax in panels[1]:
        ax.set_xlabel("layer")
    for ax in panels[:, 0]:
        ax.set_ylabel(r"cosine $\rho$")
    panels[0, 0].legend(loc="lower right")
    said = f"random transformer, d = {d}, n = {n}, beta = {beta:.4g}, {depth} layers, networks: {networks}"
    caption(drawing, f"arXiv:2512.01868, normalisation ({case.tier}): {said}")
    return drawing


def random_network(
    rng: np.random.Generator, d: int, n: int, depth: int, beta: float
) -> tuple[mf.Tokens, list[mf.SelfAttention]]:
    """Draw tokens of the sphere, and blocks of one head with entries N(0, 1/d)."""
    tokens = mf.Tokens(mf.Sphere(d), normalised(rng.normal(size=(n, d))))
    drawn = (rng.normal(size=(3, d, d)) / np.sqrt(d) for _ in range(depth))
    way = mf.sums.Products()
    return tokens, [mf.SelfAttention(beta, query=q, key=k, value=v, sum=way) for q, k, v in drawn]


def pair_cosines(tokens: mf.Tokens, blocks: list[mf.SelfAttention], scheme: Any) -> np.ndarray:
    """Return the cosines of all pairs after each layer of a network."""
    path = mf.layers(tokens, blocks, step=1.0, normalisation=scheme)
    points = np.asarray(path.on_sphere().points)
    return np.stack([(x @ x.T)[np.triu_indices(tokens.n, 1)] for x in points])


@exploration("2510.22026", "choice of alpha and of the switch; open problem", covers=["P14"])
def schedules_that_reach_a_wanted_cosine(case: Case) -> dict[str, Any]:
    """Which alpha_t of nGPT, or which switch of Mix-LN, gives a wanted cosine at a wanted depth, and does a choice made
    for equiangular tokens serve others?

    For equiangular tokens both are answered: any rising curve rho(t) has its alpha_t in closed form, and the cosine at
    depth L grows with the switch. Here the curve 1 - rho = e^(-ct) is wanted, both schedules are made for the cosine 0
    from which uniform tokens start on average, and are run on such tokens. Open: schedules for other starts. What
    radii that differ across tokens do to metastable states under Pre-LN is `P14-radii`.
    """
    depth, beta = case.given("depth", 12.0), case.draw("beta", 0.5, 2.0)
    starts = case.given("starts", {"smoke": 3, "standard": 40, "full": 400}[case.tier])
    n, d = case.given("n", N), case.given("d", N)
    given = {"n": n, "beta": beta, "start": 0.0}
    slow, fast = (
        1 - theory.gap_and_radius_of_normalised_tokens([depth], scheme=name, **given)[0][0] for name in ("pre", "post")
    )
    # between what Pre-LN and Post-LN reach, in the middle of the logarithms
    share = case.given("share of Pre-LN", 0.75)
    case.require("the share of Pre-LN is between 0 and 1", 0 < share < 1)
    target = 1 - (1 - slow) ** share * (1 - fast) ** (1 - share)
    rate = -np.log1p(-target) / depth

    def alpha(t: float) -> float:
        rho = -np.expm1(-rate * t)
        return float(theory.alpha_for_cosine(rho, rate * (1 - rho), n=n, beta=beta))

    made, _ = theory.gap_and_radius_of_normalised_tokens([depth], scheme="ngpt", alpha=alpha, **given)
    switch = theory.switch_for_cosine(target, depth=depth, **given)
    clock = float(theory.clock_of_normalisation(depth, scheme="ngpt", alpha=alpha))
    clouds = [mf.Tokens(mf.Sphere(d), normalised(case.rng.normal(size=(n, d)))) for _ in range(starts)]
    under_ngpt = [1 - mean_cosine(run(case, "ngpt", 1.0, tokens, beta, [clock])[0][-1]) for tokens in clouds]
    under_mix = []
    for tokens in clouds:  # Mix-LN is Post-LN, and then Pre-LN
        first = mf.Tokens(mf.Sphere(d), run(case, "post", 1.0, tokens, beta, [switch])[0][-1])
        under_mix.append(1 - mean_cosine(run(case, "pre", 1.0, first, beta, [depth - switch])[0][-1]))
    depths = np.linspace(0.0, depth, 13)
    curves = {
        "nGPT": theory.gap_and_radius_of_normalised_tokens(depths, scheme="ngpt", alpha=alpha, **given)[0],
        "Mix-LN": theory.gap_and_radius_of_normalised_tokens(depths, scheme="mix", switch=switch, **given)[0],
    }
    return {
        "n": n,
        "beta": beta,
        "depths": depths.tolist(),
        "equiangular gaps by depth": {name: gaps.tolist() for name, gaps in curves.items()},
        f"wanted gap at depth {depth:g}": 1 - target,
        "gaps that switches of Mix-LN reach": [1 - slow, 1 - fast],
        f"alpha at 0, {depth / 2:g}, {depth:g}": [alpha(0.0), alpha(depth / 2), alpha(depth)],
        "switch": switch,
        "equiangular, nGPT: gap over the wanted one": made[0] / (1 - target),
        "uniform tokens, nGPT: least, middle, largest ratio": np.quantile(under_ngpt, (0, 0.5, 1)) / (1 - target),
        "uniform tokens, Mix-LN: least, middle, largest ratio": np.quantile(under_mix, (0, 0.5, 1)) / (1 - target),
    }


@schedules_that_reach_a_wanted_cosine.figure
def gaps_along_depth(findings: Findings, ax: Any) -> None:
    """Draw the gaps of equiangular tokens along depth, the wanted curve, and where uniform tokens end."""
    found = findings.found
    depths = np.array(found["depths"])
    wanted = found[f"wanted gap at depth {depths[-1]:g}"]
    label = "wanted: $1 - \\rho = e^{-ct}$"
    ax.plot(depths, wanted ** (depths / depths[-1]), "--", color=THEORY, label=label, zorder=3)
    looks = {"nGPT": (ACCENT[0], "o", 0.01), "Mix-LN": (ACCENT[1], "s", 0.03)}
    for name, (colour, marker, aside) in looks.items():
        ax.plot(depths, found["equiangular gaps by depth"][name], color=colour, label=f"equiangular tokens, {name}")
        low, middle, high = wanted * np.array(found[f"uniform tokens, {name}: least, middle, largest ratio"])
        error = [[middle - low], [high - middle]]
        place = depths[-1] * (1 + aside)
        ax.errorbar(place, middle, yerr=error, fmt=marker, color=colour, capsize=4, label=f"uniform tokens, {name}")
    ax.axvline(found["switch"], color=ACCENT[1], ls=":", lw=1.4, label=f"switch of Mix-LN: {found['switch']:.2f}")
    slow, fast = found["gaps that switches of Mix-LN reach"]
    ax.axhspan(min(slow, fast), max(slow, fast), color=FAINT, lw=0, zorder=0, label="reached by some switch")
    ax.set(yscale="log", xlabel="depth $t$", ylabel=r"gap $1 - \rho$")
    title = rf"n = {found['n']}, $\beta$ = {found['beta']:.2f}"
    ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=10)


def mean_cosine(points: np.ndarray) -> float:
    """Return the mean cosine of pairs."""
    return float((points @ points.T)[np.triu_indices(len(points), 1)].mean())
