"""The phase map over two eigenvalues: the limits that random tokens find, with the borders of linear theory over it."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.figures import figure
from measureflow.claims.p2501_03096.counterweights import are_held
from measureflow.flows.limits import KINDS
from measureflow.flows.phase_maps import PhaseMap, phase_map
from measureflow.paths.style import INK, THEORY, caption
from measureflow.paths.style import figure as sheet

__all__ = ["colours", "draw_map", "limits_allowed"]

PAPER = "2501.03096"
#: eigenvalues of the maps
EXTENT = 3.0


def centres(count: int) -> np.ndarray:
    """Return the centres of so many equal cells of [-EXTENT, EXTENT]."""
    return EXTENT * ((2 * np.arange(count) + 1) / count - 1)


def limits_allowed(mu: tuple[float, float], sign: int, mass: float, n: int, held: bool) -> set[tuple[str, int]]:
    """Return the limits on the circle that linear theory lets n random tokens come to.

    Attraction: one cluster, or two whose larger one has this mass. Repulsion: one cluster at the eigenvector of a
    negative eigenvalue, or two clusters near the directions where an indefinite form vanishes, or several where both
    eigenvalues are below -2/3 (three at 120 degrees, V13); with a positive form tokens spread. Several clusters must
    be stable, and with a positive form `held` by single tokens (`theory.angle_of_counterweights`): a limit of
    finitely many tokens, which needs an eigenvalue of order 1/n of the other.
    """
    low = int(np.argmin(mu))
    if sign < 0:
        if mu[low] > 0:
            return {("spread", -1)} | ({("several clusters", -1)} if held else set())
        mixed = mu[1 - low] > 0 and theory.rates_of_null_pair([mu[low], mu[1 - low]]).stable
        several = {("several clusters", -1)} if held and (mixed or max(mu) < -2 / 3) else set()
        return {("one cluster", low)} | several | ({("two clusters", -1)} if mixed else set())
    allowed = {("one cluster", k) for k in range(2) if theory.rates_of_one_cluster(mu, k).stable}
    for k in range(2):
        rates = theory.rates_of_two_clusters(mu, k, mass=mass if mass < 1 else 0.5)
        # a cluster of one token has nothing within it
        held = rates.within[0] < 0 and (rates.within[1] < 0 or mass > 1 - 1.5 / n)
        if held and (rates.between < 0).all():
            allowed.add(("two clusters", k))
    return allowed


@claim(
    PAPER,
    "limits over the plane of two eigenvalues",
    covers=["1.6"],
    status="derived",
    states=limits_allowed,
    id=f"{PAPER}/phase-map",
)
def random_tokens_end_in_what_is_linearly_stable(case: Case) -> None:
    """Away from the borders every random cloud ends in one cluster, or in two of its masses, that is stable; repulsion
    may also end in two clusters where the form vanishes, and a positive form spreads tokens, or leaves them in clusters
    that single ones hold."""
    values, found = random_map(case)
    sign, n, right = case.instance["sign"], case.instance["n"], []
    for i, j in np.ndindex(*found.kind.shape):
        mu = (float(values[0, i]), float(values[1, j]))
        if min(abs(mu[0]), abs(mu[1]), abs(mu[0] - mu[1])) < 0.15:
            continue  # beside a border rates are small, and tokens may not have come to rest
        own = (KINDS[found.kind[i, j]], int(found.axis[i, j]))
        several, form = own[0] == "several clusters", np.diag(mu)
        if several and not found.decided[i, j]:
            continue  # they may still fall apart
        held = several and case.measure(are_held, found.ends[i, j], form, counterweights=min(mu) > 0)
        right.append(own in case.predict(mu, sign, float(found.mass[i, j]), n, held))
    case.require("most cells are away from the borders", len(right) >= len(found.kind))
    because = "one cell of the map"
    case.compare(np.mean(right), 1.0, within=0.5 / len(right), because=because, name="cells as stated")


def random_map(case: Case) -> tuple[np.ndarray, PhaseMap]:
    """Draw eigenvalues of either sign, and follow random tokens to their limits under each pair of them."""
    sign, n, extent = case.choose("sign", [1, -1]), case.given("n", 16), case.given("extent", 2.0)
    cells = case.given("cells", 6 if case.tier == "smoke" else 8)
    # one in every stretch, so that every quadrant has its share of cells
    values = 2 * extent * (np.arange(cells) + case.generator("eigenvalues").uniform(size=(2, cells))) / cells - extent
    return values, case.measure(phase_map, *values, sign=sign, n=n, seed=case.seed)


phases = random_tokens_end_in_what_is_linearly_stable


@phases.figure
def limits_over_the_plane(case: Case, ax: Any) -> None:
    """Draw the limits that random tokens found, a mark for each pair of eigenvalues, with the borders over them."""
    values, found = random_map(case)
    palette, extent = colours(2), case.instance["extent"]
    for limit in sorted({(KINDS[k], int(a)) for k, a in zip(found.kind.ravel(), found.axis.ravel(), strict=True)}):
        own = np.argwhere((found.kind == KINDS.index(limit[0])) & (found.axis == limit[1]))
        colour = palette.get(limit, palette.get((limit[0], -1), "#c46a8c"))
        ax.scatter(values[0, own[:, 0]], values[1, own[:, 1]], marker="s", s=60, color=colour, edgecolor=INK, lw=0.5,
                   label=worded(*limit), zorder=4)  # fmt: skip
    box = (-extent, extent, -extent, extent)
    borders(ax, found, box)
    ax.set(xlim=box[:2], ylim=(-extent, 1.7 * extent), xlabel=r"$\lambda_1$", ylabel=r"$\lambda_2$")
    said = "attraction, V = D" if case.instance["sign"] > 0 else "repulsion, V = -D"
    ax.set_title(f"{said}, n = {case.instance['n']}; lines: borders of linear theory", fontsize=11, loc="left")
    ax.legend(fontsize=8.5, loc="upper left", ncols=2)


@phases.mutation
def eigenvectors_out_of_order(
    mu: tuple[float, float], sign: int, mass: float, n: int, held: bool
) -> set[tuple[str, int]]:
    """Clusters are at the eigenvector of the other eigenvalue."""
    return limits_allowed((mu[1], mu[0]), sign, mass, n, held)


@phases.mutation
def signs_exchanged(mu: tuple[float, float], sign: int, mass: float, n: int, held: bool) -> set[tuple[str, int]]:
    """What attraction makes stable is taken for repulsion, and the other way round."""
    return limits_allowed(mu, -sign, mass, n, held)


def candidates(d: int) -> list[tuple[str, int]]:
    """Return the limits with a border."""
    return list(itertools.product(("one cluster", "two clusters"), range(d)))


def colours(d: int) -> dict[tuple[str, int], Any]:
    """Return a colour for every limit: light for one cluster, dark for two, in a family of its own for each axis."""
    warm = {0: ("#f2c14e", "#a05a00"), 1: ("#8ecae6", "#1d3f72"), 2: ("#b7d79a", "#3c6e21")}
    chosen: dict[tuple[str, int], Any] = {}
    for axis in range(d):
        light, dark = warm[axis % 3]
        chosen |= {("one cluster", axis): light, ("two clusters", axis): dark}
    chosen |= {("one cluster", -1): "#f6e7c1", ("two clusters", -1): "#7a5c99", ("several clusters", -1): "#c46a8c"}
    return chosen | {("ring", -1): "#d8d8d8", ("spread", -1): "#efefef"}


def draw_map(ax: Any, found: PhaseMap) -> set[tuple[str, int]]:
    """Draw a map with hatched undecided cells and the borders of linear theory; return the limits that are in it."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    palette = colours(found.d)
    seen = {(KINDS[k], int(a)) for k, a in zip(found.kind.ravel(), found.axis.ravel(), strict=True)}
    picture = np.zeros((*found.kind.T.shape, 3))
    for limit in seen:
        colour = to_rgb(palette.get(limit, palette.get((limit[0], -1), "#c46a8c")))
        picture[(KINDS.index(limit[0]) == found.kind.T) & (limit[1] == found.axis.T)] = colour
    edges = [np.append(v - (v[1] - v[0]) / 2, v[-1] + (v[1] - v[0]) / 2) for v in (found.first, found.second)]
    box = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
    ax.imshow(picture, origin="lower", extent=box, interpolation="nearest", aspect="auto")
    if not found.decided.all():
        for i, j in zip(*np.nonzero(~found.decided), strict=True):
            corner = (float(edges[0][i]), float(edges[1][j]))
            wide, high = float(edges[0][i + 1]) - corner[0], float(edges[1][j + 1]) - corner[1]
            ax.add_patch(Rectangle(corner, wide, high, fill=False, hatch="///", lw=0, edgecolor="0.55", zorder=2))
    borders(ax, found, box)
    ax.set(xlim=box[:2], ylim=box[2:], xlabel=r"$\lambda_1$", ylabel=r"$\lambda_2$")
    return seen


def borders(ax: Any, found: PhaseMap, box: tuple[float, float, float, float]) -> None:
    """Draw where clusters gain and lose stability, and (dotted) where one cluster and two have the same energy."""
    x, y = np.linspace(*box[:2], 401), np.linspace(*box[2:], 401)
    plane = np.stack([*np.meshgrid(x, y), *(np.full((401, 401), c) for c in found.others)], axis=-1)
    for kind, at in candidates(found.d):
        rate = theory.largest_rate_of_limit(kind, plane, at, sign=found.sign)
        if rate.min() < 0 < rate.max():
            style = "--" if kind == "two clusters" else "-"
            ax.contour(x, y, rate, levels=[0.0], colors=[THEORY], linewidths=1.4, linestyles=style, zorder=3)
    if found.sign < 0 and found.d == 2:
        for one, other in ((plane[..., 0], plane[..., 1]), (plane[..., 1], plane[..., 0])):
            edge = np.where((one < 0) & (other > 0), other * (1 - one) + one, np.nan)
            ax.contour(x, y, edge, levels=[0.0], colors=[THEORY], linewidths=1.4, linestyles="-.", zorder=3)
    if found.sign > 0:
        low, high = plane.min(axis=-1), plane.max(axis=-1)
        gap = np.where(low < 0, high - np.log(np.cosh(low)), np.nan)
        ax.contour(x, y, gap, levels=[0.0], colors=[INK], linewidths=1.4, linestyles=":", zorder=3)


@functools.lru_cache(maxsize=4)
def computed(count: int, n: int, sign: int, others: tuple[float, ...], seed: int) -> PhaseMap:
    """Return a map, remembered."""
    return phase_map(centres(count), centres(count), sign=sign, n=n, others=others, seed=seed)


@figure(PAPER, "Phase map", title="In what random tokens end, over two eigenvalues", kind="png")
def phase_maps(case: Case) -> Any:
    r"""SA, D = diag(lambda_1, lambda_2), V = D (attraction) and V = -D (repulsion): 64 x 64 cells, 64 uniform tokens.

    A cell ends where no token is faster than 1e-8, or at t = 10^4: hatched cells were not at rest then (decay is
    algebraic at the borders, and slower than any computation where tokens spread). Solid: one cluster gains or loses
    stability; dashed: two balanced ones, $\lambda_j = \lambda_k\tanh\lambda_k$; dotted: both have the same energy,
    $\lambda_{max} = \log\cosh\lambda_{min}$. Between dashed and solid lines the start decides. Under repulsion two
    clusters near the directions with $\langle x, Dx\rangle = 0$ attract beyond the dash-dotted line.
    """
    return maps(case, (), {"smoke": (12, 16), "standard": (32, 32)}.get(case.tier, (64, 64)))


@figure(PAPER, "Phase map, d = 3", title="In what random tokens of S² end, over two eigenvalues", kind="png")
def phase_maps_on_the_sphere(case: Case) -> Any:
    r"""SA with D = diag(lambda_1, lambda_2, 1/2), V = ±D on S²: 40 x 40 cells, 32 uniform tokens.

    As the map on the circle; the third eigenvalue is that of a pole that attracts where both others are smaller.
    """
    return maps(case, (0.5,), {"smoke": (4, 8), "standard": (16, 16)}.get(case.tier, (40, 32)))


def worded(kind: str, axis: int) -> str:
    """Name a limit in a legend."""
    if axis >= 0:
        return rf"{kind} at $\pm e_{axis + 1}$"
    return f"{kind} elsewhere" if "cluster" in kind else kind


def maps(case: Case, others: tuple[float, ...], size: tuple[int, int]) -> Any:
    """Draw attraction beside repulsion."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    count, n = case.given("cells", size[0]), case.given("n", size[1])
    others = tuple(case.given("other eigenvalues", others)) if others else others
    drawing = sheet(11.5, 7.2)
    axes, seen = drawing.subplots(1, 2), set()
    for ax, sign, said in zip(axes, (1, -1), ("attraction, $V = D$", "repulsion, $V = -D$"), strict=True):
        found = computed(count, n, sign, others, case.seed)
        seen |= draw_map(ax, found)
        ax.set_title(f"{said}: {(~found.decided).mean():.0%} of cells undecided")
        ax.set_aspect("equal")
    palette = colours(2 + len(others))
    names = [(limit, worded(*limit)) for limit in sorted(seen)]
    marks: list[Any] = [
        Patch(facecolor=palette.get(limit, palette.get((limit[0], -1), "#c46a8c")), edgecolor=INK, lw=0.5, label=name)
        for limit, name in names
    ]
    marks.append(Patch(facecolor="white", edgecolor=INK, hatch="////", lw=0.5, label="undecided at $t = 10^4$"))
    for style, colour, label in (
        ("-", THEORY, "one cluster: stability"),
        ("--", THEORY, "two clusters: stability"),
        ("-.", THEORY, r"$\langle x, Dx\rangle = 0$: stability"),
        (":", INK, "energies equal"),
    ):
        marks.append(Line2D([], [], ls=style, color=colour, label=label))
    drawing.legend(handles=marks, loc="outside upper center", ncols=4)
    third = "".join(f", {value:g}" for value in others)
    form = f"D = diag(lambda_1, lambda_2{third})"
    caption(drawing, f"arXiv:{PAPER} ({case.tier}): SA, {form}, {count} x {count} cells, {n} uniform tokens each")
    return drawing
