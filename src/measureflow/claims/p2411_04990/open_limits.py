"""Open questions: where causal tokens end for other values than V = I, and what they gather at before."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration, replica
from measureflow.claims.instances import N, cloud, follow, normalised
from measureflow.claims.p2411_04990.limits import unit
from measureflow.paths.style import ACCENT, MUTED, THEORY


@exploration("2411.04990", "Conjecture 1", covers=["P13"])
def do_causal_tokens_gather_at_the_top_eigenvector(case: Case) -> dict[str, Any]:
    """With a diagonalisable V of distinct positive eigenvalues, does every causal token converge to plus or minus its
    top eigenvector?

    Conjectured, and proved for the first token alone. The study follows random starts with random Q, K of norm at most
    1 and V = S diag S^-1, which is not symmetric, and gives the share of tokens that ended at +xi, at -xi and elsewhere
    at t = 400.
    """
    draws = case.given("starts", {"smoke": 5, "standard": 40, "full": 300}[case.tier])
    n, until = case.given("n", N), case.given("t", 400.0)
    found: dict[str, Any] = {"starts": draws, "n": n, "t": until}
    for d in case.given("d", {"smoke": (3,)}.get(case.tier, (3, 5))):
        ends = []
        for k in range(draws):
            one = replica(case, k)
            basis = np.eye(d) + 0.5 * one.generator("basis").uniform(-1.0, 1.0, (d, d))
            values = np.sort(one.generator("values").uniform(0.05, 0.8, d))[::-1]
            values[0] = 1.0
            value = basis @ np.diag(values) @ np.linalg.inv(basis)
            query, key = (one.draw(f"norm of {name}", 0.0, 1.0) * unit(one, name, d) for name in ("Q", "K"))
            field = mf.SelfAttention(one.draw("beta", 0.2, 2.0), query=query, key=key, value=value, mask="causal")
            points = follow(one, cloud(one, d=d, n=n), field, np.array([until]), rtol=1e-8)[-1]
            ends.append(points @ normalised(basis[:, 0]))
        heights = np.concatenate(ends)
        there = np.abs(heights) > 1 - 1e-4
        found[f"d = {d}"] = {
            "tokens at +xi": float((there & (heights > 0)).mean()),
            "tokens at -xi": float((there & (heights < 0)).mean()),
            "elsewhere": float((~there).mean()),
            "starts with both signs": float(np.mean([row.min() * row.max() < 0 for row in ends])),
            "share of tokens by <x, xi> from -1 to 1": (np.histogram(heights, 41, (-1, 1))[0] / heights.size).tolist(),
        }
    return found


@do_causal_tokens_gather_at_the_top_eigenvector.figure
def heights_of_tokens(findings: Findings, ax: Any) -> None:
    """Draw how many tokens ended where along the top eigenvector, and where they should."""
    found = findings.found
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    edges = np.linspace(-1, 1, 42)
    for (name, row), colour in zip(rows.items(), ACCENT, strict=False):
        label = (
            f"{name}: {row['elsewhere']:.1%} elsewhere, {row['starts with both signs']:.0%} of starts with both signs"
        )
        share = row["share of tokens by <x, xi> from -1 to 1"]
        ax.stairs(share, edges, color=colour, fill=True, alpha=0.35)
        ax.stairs(share, edges, color=colour, lw=1.6, label=label)
    for place in (-1, 1):
        ax.axvline(place, ls="--", color=THEORY, label=r"conjectured: $\pm\xi$ alone" if place > 0 else None)
    ax.set(xlabel=rf"$\langle x_i, \xi\rangle$ at t = {found['t']:g}", ylabel="share of the tokens", xlim=(-1.05, 1.05))
    ax.set_title(f"{found['starts']} starts of {found['n']} causal tokens")
    ax.legend(loc="upper center")


def centres_of(points: np.ndarray, angle: float, *, strong: bool) -> np.ndarray:
    """Return which tokens have no token (strong), or no centre, before them within an angle."""
    near = points @ points.T > np.cos(angle)
    chosen = np.zeros(len(points), dtype=bool)
    for k in range(len(points)):
        chosen[k] = not (near[k, :k] if strong else near[k, :k] & chosen[:k]).any()
    return chosen


@exploration("2411.04990", "metastability for all tokens", covers=["P13"], id="2411.04990/P13-centres")
def do_all_causal_tokens_wait_at_a_centre(case: Case) -> dict[str, Any]:
    """Do all tokens of a causal text gather at its Rényi centres, and at which, before they meet the first one?

    Proved for the circle is that strong centres stay; that others come near a centre is not, nor is anything on
    spheres. Uniform tokens with Q = K = V = 1 are followed, and the share that is within beta^(-1/2)/2 of where a
    centre was at the start is given at two times: of a strong one (no token before within 2 beta^(-1/2)) and of an
    ordinary one (no centre before within it); and beside both what as many random places would get.
    """
    n = case.given("n", {"smoke": 64, "standard": 250, "full": 1000}[case.tier])
    draws = case.given("draws", {"smoke": 1, "standard": 10, "full": 40}[case.tier])
    betas, times = list(case.given("betas", (25.0, 100.0, 400.0))), np.array(case.given("t", (5.0, 50.0)))
    found: dict[str, Any] = {"beta": betas, "t": times, "n": n, "draws": draws}
    for d in case.given("d", {"smoke": (2,)}.get(case.tier, (2, 3))):
        rows: dict[str, list[np.ndarray]] = {"strong": [], "ordinary": [], "random places, as many as ordinary": []}
        for beta in betas:
            shares: dict[str, list[np.ndarray]] = {name: [] for name in rows}
            for draw in range(draws):
                one = replica(case, draw)
                tokens = cloud(one, d=d, n=n)
                start = np.asarray(tokens.points)
                ends = follow(one, tokens, mf.SelfAttention(beta, mask="causal"), times, rtol=1e-6)
                centres = {name: start[centres_of(start, 2 * beta**-0.5, strong=name == "strong")] for name in rows}
                places = one.generator("places").normal(size=centres["ordinary"].shape)
                centres["random places, as many as ordinary"] = normalised(places)
                for name, those in centres.items():
                    nearest = (ends @ those.T).max(axis=-1)
                    shares[name].append((nearest > np.cos(0.5 * beta**-0.5)).mean(axis=1))
            for name, values in shares.items():
                rows[name].append(np.mean(values, axis=0))
        found |= {f"d = {d}, {name}: share by beta and t": np.array(values) for name, values in rows.items()}
    return found


@do_all_causal_tokens_wait_at_a_centre.figure
def shares_at_centres(findings: Findings, ax: Any) -> None:
    """Draw the share of tokens at strong and at ordinary centres over beta at each time, and at random places."""
    found = findings.found
    dims = sorted({name.split(",")[0] for name in found if name.startswith("d = ")})
    # ordinary centres first and wide: strong ones are some of them, and may have as many tokens
    looks = {"ordinary": ACCENT[2], "strong": ACCENT[0], "random places, as many as ordinary": MUTED}
    for d, marker in zip(dims, "os" * len(dims), strict=False):
        for what, colour in looks.items():
            rows = np.array(found[f"{d}, {what}: share by beta and t"]).T
            for row, style in zip(rows, ("-", "--", "-.", ":") * len(rows), strict=False):
                wide = {"ms": 12, "lw": 4, "alpha": 0.6} if what == "ordinary" else {"ms": 6}
                ax.plot(found["beta"], row, marker, ls=style, color=colour, **wide)
    for what, colour in looks.items():
        said = {"strong": "at a strong centre", "ordinary": "at a centre"}.get(what, "null: at as many random places")
        ax.plot([], [], "s", color=colour, label=said)
    for time, style in zip(found["t"], ("-", "--", "-.", ":") * len(found["t"]), strict=False):
        ax.plot([], [], ls=style, color=MUTED, label=f"t = {time:g}")
    for d, marker in zip(dims, "os" * len(dims), strict=False):
        ax.plot([], [], marker, color=MUTED, label=d)
    ax.set(
        xscale="log", xlabel=r"$\beta$", ylabel=r"share of tokens within $\frac{1}{2}\beta^{-1/2}$", ylim=(-0.02, 1.02)
    )
    ax.legend(title=f"n = {found['n']} causal tokens", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
