"""Open questions: where causal tokens end for other values than V = I, and what they gather at before."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import cloud, follow, normalised
from measureflow.claims.p2411_04990.limits import unit


@exploration("2411.04990", "Conjecture 1", covers=["P13"])
def do_causal_tokens_gather_at_the_top_eigenvector(case: Case) -> dict[str, Any]:
    """With a diagonalisable V of distinct positive eigenvalues, does every causal token converge to plus or minus its
    top eigenvector?

    Conjectured, and proved for the first token alone. The study follows random starts with random Q, K of norm at most
    1 and V = S diag S^-1, which is not symmetric, and gives the share of tokens that ended at +xi, at -xi and elsewhere
    at t = 400.
    """
    draws = {"smoke": 5, "standard": 40, "full": 300}[case.tier]
    found: dict[str, Any] = {"starts": draws}
    for d in (3,) if case.tier == "smoke" else (3, 5):
        ends = []
        for k in range(draws):
            one = Case(f"{case.name} {k}", {}, seed=case.seed)
            basis = np.eye(d) + 0.5 * one.generator("basis").uniform(-1.0, 1.0, (d, d))
            values = np.sort(one.generator("values").uniform(0.05, 0.8, d))[::-1]
            values[0] = 1.0
            value = basis @ np.diag(values) @ np.linalg.inv(basis)
            query, key = (one.draw(f"norm of {name}", 0.0, 1.0) * unit(one, name, d) for name in ("Q", "K"))
            field = mf.SelfAttention(one.draw("beta", 0.2, 2.0), query=query, key=key, value=value, mask="causal")
            points = follow(one, cloud(one, d=d), field, np.array([400.0]), rtol=1e-8)[-1]
            ends.append(points @ normalised(basis[:, 0]))
        heights = np.concatenate(ends)
        there = np.abs(heights) > 1 - 1e-4
        found[f"d = {d}"] = {
            "tokens at +xi": float((there & (heights > 0)).mean()),
            "tokens at -xi": float((there & (heights < 0)).mean()),
            "elsewhere": float((~there).mean()),
            "starts with both signs": float(np.mean([row.min() * row.max() < 0 for row in ends])),
        }
    return found


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
    n, draws = {"smoke": (64, 1), "standard": (250, 10), "full": (1000, 40)}[case.tier]
    betas, times = [25.0, 100.0, 400.0], np.array([5.0, 50.0])
    found: dict[str, Any] = {"beta": betas, "t": times}
    for d in (2,) if case.tier == "smoke" else (2, 3):
        rows: dict[str, list[np.ndarray]] = {"strong": [], "ordinary": [], "random places, as many as ordinary": []}
        for beta in betas:
            shares: dict[str, list[np.ndarray]] = {name: [] for name in rows}
            for draw in range(draws):
                one = Case(f"{case.name} {draw}", {}, seed=case.seed)
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
