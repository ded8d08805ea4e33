"""The figures of the paper, with its parameters and steps that control their error."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.published import overlay, rings
from measureflow.errors import BadInput
from measureflow.paths.style import ACCENT, FAINT, INK, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as empty

PAPER = "2305.05465"
#: the matrices of the authors' scripts
PLANE_VALUE = np.array([[0.64709742, 0.81911926], [0.61210449, 0.63263484]])
NEGATIVE_PAIR = np.array(
    [[0.2362413, 0.0599536, 0.40506019], [0.81321448, 0.49948705, 0.33754772], [0.2160645, 0.38505272, 0.14588075]]
)
POSITIVE_PAIR = np.array(
    [[0.18608476, 0.34391026, 0.13905949], [0.35244288, 0.6694859, 0.39992145], [0.46685606, 0.17094454, 0.42092308]]
)
TWO_POSITIVE = np.array(
    [[0.92761287, 0.94333073, 0.3827744], [0.94333073, 0.59991396, 0.47825472], [0.3827744, 0.47825472, 0.46668605]]
)
#: the authors' step, and where their fourth-order scheme holds the attention matrix
STEP = 0.1
HELD = "published: attention held, step 0.1"

weights_at = eqx.filter_jit(lambda field, t, mu: field.at(t).weights(mu.points, mu))  # t is an array, or static


def growing(value: np.ndarray, root: np.ndarray | None = None) -> mf.RescaledAttention:
    """Return the field of `value` with Q = K = A, rescaled where it grows; all of a dimension are one program."""
    root = np.eye(len(value)) if root is None else root
    return mf.RescaledAttention(value=value, query=root, key=root, bounded=True)


def frozen_steps(points: np.ndarray, field: mf.RescaledAttention, until: float) -> np.ndarray:
    """Return the points of the published scheme at its times: Runge-Kutta steps of 0.1 with attention held.

    With attention held over it, a step is that of a linear equation; so the scheme is of first order in time.
    """
    z, value = points, np.eye(points.shape[1]) if field.value is None else np.asarray(field.value)
    rest = np.zeros_like(value) if field.growth.rest is None else np.asarray(field.growth.rest)
    states, mu = [z], mf.Tokens(mf.Euclidean(points.shape[1]), points)
    for k in range(round(until / STEP)):
        held = np.asarray(weights_at(field, np.asarray(k * STEP), mu.replace(points=z)))
        move = lambda y, held=held: (held @ y - y) @ value.T + y @ rest.T  # noqa: E731  (bound in the loop)
        a = move(z)
        b = move(z + 0.5 * STEP * a)
        c = move(z + 0.5 * STEP * b)
        z = z + STEP / 6 * (a + 2 * b + 2 * c + move(z + STEP * c))
        states.append(z)
    return np.stack(states)


def run(case: Case, n: int, d: int, half: float, field: mf.RescaledAttention, until: float) -> mf.Path:
    """Return the path of tokens of the cube, at times so near that trails have no corners."""
    start = mf.Tokens(mf.Euclidean(d), case.generator("tokens").uniform(-half, half, (n, d)))
    return mf.flow(start, field, until=until, save=np.linspace(0, until, 51 if case.tier == "smoke" else 251))


def said_of(drawing: Any, case: Case, item: str, text: str) -> None:
    """Write the recipe under the picture."""
    caption(drawing, f"arXiv:{PAPER}, {item} ({case.tier}): {text}; flow in the log domain, rtol 1e-8")


def panels(flat: bool, title: str, plain: bool = True) -> tuple[Any, list[Any]]:
    """Return a figure with two panels in the plane or in space, and beside them a plain one."""
    drawing = empty(14.0 if plain else 10.5, 5.2)
    drawing.suptitle(title)
    grid = drawing.add_gridspec(1, 3 if plain else 2)
    kind = {} if flat else {"projection": "3d"}
    axes = [drawing.add_subplot(grid[k], **kind) for k in range(2)]
    return drawing, [*axes, drawing.add_subplot(grid[2])] if plain else axes


def tokens_on(axes: Any, path: mf.Path, k: int, half: float, ghost: np.ndarray | None = None) -> None:
    """Draw the tokens at one state over their trails; of the published scheme, rings."""
    z = np.asarray(path.points)
    for token, colour in enumerate(shades(z.shape[1])):
        axes.plot(*z[: k + 1, token].T, color=colour, lw=0.8, alpha=0.5)
    axes.scatter(*z[k].T, c=shades(z.shape[1]), s=26, edgecolors="white", linewidths=0.5)
    if ghost is not None:
        rings(axes, *ghost.T, size=70, label=HELD)
        axes.legend(loc="upper left" if z.shape[2] == 3 else "best", fontsize=9)
    size = 1.06 * half
    axes.set(xlim=(-size, size), ylim=(-size, size), xlabel="$z_1$", ylabel="$z_2$")
    if z.shape[2] == 3:
        axes.set(zlim=(-size, size), zlabel="$z_3$")
        axes.locator_params(nbins=4)
        axes.set_box_aspect(None, zoom=0.8)  # else the label of the third axis is cut off
    axes.set_title(f"$t = {float(path.times[k]):.3g}$")


def hull_line(axes: Any, points: np.ndarray, **style: Any) -> None:
    """Draw the boundary of the hull of points in the plane, or the edges of all its faces in space."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        faces = ConvexHull(points).simplices
    except QhullError:  # the tokens stand on fewer dimensions
        return
    for face in faces:
        axes.plot(*points[np.append(face, face[:1])].T, **style)


@figure(PAPER, "polytope", title="tokens end at the corners of a polytope")
def tokens_end_on_a_polytope(case: Case) -> Any:
    """V = A = I, 20 tokens of U[-5, 5]^d, T = 5, d = 2 and 3: the hull shrinks to a polytope."""
    n, half, until = case.given("n", 20), case.given("half side", 5.0), case.given("T", 5.0)
    drawing = empty(13.8, 9.4)
    for row, d in enumerate((2, 3)):
        field = growing(np.eye(d))
        path = run(case, n, d, half, field, until)
        ghost = frozen_steps(np.asarray(path.points[0]), field, until)[-1]
        last = len(path) - 1
        for column, k in enumerate((0, last // 5, last)):
            axes = drawing.add_subplot(2, 3, 3 * row + column + 1, **({} if d == 2 else {"projection": "3d"}))
            tokens_on(axes, path, k, half, ghost if k == last else None)
            hull_line(axes, np.asarray(path.points[k]), color=ACCENT[1], lw=1.0)
            if d == 2:
                axes.set_aspect("equal")
    box = f"U[-{half:g}, {half:g}]^d"
    said_of(drawing, case, "polytope", f"V = A = I, {n} tokens of {box}, d = 2 and 3, their hull and their trails")
    return drawing


def hyperplanes(case: Case, value: np.ndarray, until: float, said: str) -> Any:
    """Draw tokens with the hyperplanes on which they gather, and their first eigen-coordinate along time."""
    n, half, until = case.given("n", 20), case.given("half side", 5.0), case.given("T", until)
    value = np.array(case.given("V", value.tolist()))
    d = len(value)
    field = growing(value)
    path = run(case, n, d, half, field, until)
    roots, rows = mf.observe.eigenfunctionals(value)
    own = np.real(rows[0])
    drawing, (*axes, last) = panels(d == 2, said)
    scale = 1.0 + np.abs(np.asarray(path.points)).max() / 1.06
    coarse = frozen_steps(np.asarray(path.points[0]), field, until)
    for place, k in zip(axes, (0, len(path) - 1), strict=True):
        tokens_on(place, path, k, scale, coarse[-1] if k else None)
    ends = np.asarray(path.points[-1]) @ own
    for level in mf.observe.levels(ends, within=0.05):
        plane_across(axes[1], own, level, scale)
    for token, colour in enumerate(shades(n)):
        last.plot(path.times, np.asarray(path.points)[:, token] @ own, color=colour, lw=1.2)
    overlay(last, STEP * np.arange(len(coarse)), coarse @ own, label=HELD)
    # rings and dashes are the same scheme: one legend, where no line passes
    held = [*axes[1].get_legend_handles_labels()[0], *last.get_legend_handles_labels()[0]]
    axes[1].get_legend().remove()
    last.legend([tuple(held)], [HELD], loc="center right", fontsize=9, handler_map={tuple: side_by_side()})
    last.set(xlabel="time $t$", ylabel=r"$\varphi_1^*(z_i)$")
    last.set_title(rf"$\lambda_1 = {float(np.real(roots[0])):.3g}$")
    recipe = f"{matrix_of(case)}, A = I, {n} tokens of U[-{half:g}, {half:g}]^{d}; orange: where coordinates end"
    said_of(drawing, case, f"hyperplanes in {d} dimensions", recipe)
    return drawing


def matrix_of(case: Case) -> str:
    """Say where V comes from."""
    return "V as set" if "V" in case.parameters else "V of the authors' script"


def side_by_side() -> Any:
    """Return what draws several marks of one entry of a legend beside each other."""
    from matplotlib.legend_handler import HandlerTuple

    return HandlerTuple(ndivide=None)


def plane_across(axes: Any, normal: np.ndarray, level: float, size: float) -> None:
    """Draw the hyperplane where a functional has a value."""
    foot = level * normal / (normal @ normal)
    basis = np.linalg.svd(normal[None])[2][1:]
    if len(normal) == 2:
        line = foot + np.outer([-2 * size, 2 * size], basis[0])
        axes.plot(*line.T, color=THEORY, ls=(0, (4, 3)), lw=1.4)
        return
    sides = 0.7 * size * np.array([[[-1, -1], [1, -1]], [[-1, 1], [1, 1]]])
    axes.plot_surface(*np.moveaxis(foot + sides @ basis, -1, 0), color=THEORY, alpha=0.15)


@figure(PAPER, "hyperplanes 2d", title="at most three lines")
def lines_across_the_first_eigenvector(case: Case) -> Any:
    """The authors' V of R^2 with A = I, 20 tokens: they gather on at most three parallel lines."""
    return hyperplanes(case, PLANE_VALUE, 8.0, r"$d = 2$: parallel lines $\varphi_1^* = c$")


@figure(PAPER, "hyperplanes 3d, other eigenvalues negative", title="at most three planes, other eigenvalues negative")
def planes_with_other_eigenvalues_negative(case: Case) -> Any:
    """The authors' V of R^3 whose other eigenvalues have negative real part: at most three parallel planes.

    The negative pair is left unrescaled (`bounded=True`): rescaled, it would leave the picture like e^(0.05 t).
    """
    return hyperplanes(case, NEGATIVE_PAIR, 12.0, r"other eigenvalues of negative real part")


@figure(PAPER, "hyperplanes 3d, other eigenvalues positive", title="at most three planes, other eigenvalues positive")
def planes_with_other_eigenvalues_positive(case: Case) -> Any:
    """The authors' V of R^3 whose other eigenvalues have positive real part: at most three parallel planes."""
    return hyperplanes(case, POSITIVE_PAIR, 12.0, r"other eigenvalues of positive real part")


@figure(PAPER, "codimension k", title="two growing directions: lines")
def lines_of_codimension_two(case: Case) -> Any:
    """The authors' symmetric V of R^3 with two positive eigenvalues, A = I, 20 tokens: they gather on lines."""
    n, half, until = case.given("n", 20), case.given("half side", 5.0), case.given("T", 18.0)
    value = np.array(case.given("V", TWO_POSITIVE.tolist()))
    field = growing(value)
    path = run(case, n, 3, half, field, until)
    roots, rows = mf.observe.eigenfunctionals(value)
    if (roots > 0).sum() != 2:
        raise BadInput(f"figure: V has {(roots > 0).sum()} positive eigenvalues; this one shows two.")
    own = rows[roots > 0]
    drawing, (*axes, flat) = panels(False, "two eigenvalues are positive: parallel lines")
    scale = float(np.abs(np.asarray(path.points)).max())
    coarse = frozen_steps(np.asarray(path.points[0]), field, until)
    for place, k in zip(axes, (0, len(path) - 1), strict=True):
        tokens_on(place, path, k, scale, coarse[-1] if k else None)
    places = np.asarray(path.points) @ own.T
    for token, colour in enumerate(shades(n)):
        flat.plot(*places[:, token].T, color=colour, lw=0.8, alpha=0.6)
        flat.scatter(*places[-1, token], color=[colour], s=26, zorder=3)
    rings(flat, *(coarse[-1] @ own.T).T, size=70, label=HELD)
    flat.legend(fontsize=9)
    flat.set(xlabel=r"$\varphi_1^*(z)$", ylabel=r"$\varphi_2^*(z)$", title="along the lines")
    recipe = f"{matrix_of(case)}, A = I, {n} tokens of U[-{half:g}, {half:g}]^3 and their trails"
    said_of(drawing, case, "codimension k", recipe)
    return drawing


@figure(PAPER, "polytope times subspace", title="a polytope times a subspace")
def polytope_times_a_subspace(case: Case) -> Any:
    """V = diag(1, 1, -1/2), A = I, 20 tokens of U[-5, 5]^3: corners of a polygon in F, anything along G."""
    n, half, until = case.given("n", 20), case.given("half side", 5.0), case.given("T", 5.0)
    third = case.given("third eigenvalue", -0.5)
    field = mf.RescaledAttention(value=np.diag([1.0, 1.0, third]))
    path = run(case, n, 3, half, field, until)
    ghost = frozen_steps(np.asarray(path.points[0]), field, until)[-1]
    scale = float(np.abs(np.asarray(path.points)).max())
    drawing, axes = panels(False, rf"$V = \mathrm{{diag}}(1, 1, {third:g})$", plain=False)
    for place, k in zip(axes, (0, len(path) - 1), strict=True):
        tokens_on(place, path, k, scale, ghost if k else None)
        flat = np.asarray(path.points[k]).copy()
        corners = flat[mf.observe.hull(mf.Tokens(mf.Euclidean(2), flat[:, :2]), within=1e-3).vertices]
        for x, y, _ in corners:
            place.plot([x, x], [y, y], [-scale, scale], color=MUTED, lw=0.8, ls=(0, (2, 2)))
        place.set(xlim=(-1.2 * half, 1.2 * half), ylim=(-1.2 * half, 1.2 * half))
    recipe = (
        f"A = I, {n} tokens of U[-{half:g}, {half:g}]^3; dotted: corners of the hull of two coordinates, times a line"
    )
    said_of(drawing, case, "polytope times subspace", recipe)
    return drawing


@figure(PAPER, "low-rank attention", title="the attention matrix loses its rank")
def attention_loses_its_rank(case: Case) -> Any:
    """n = 40, d = 80, A = I, V = G G^T, G and x_0 of U[-1, 1]: attention becomes Boolean and of low rank.

    Attention moves the tokens here. The published script moves them by x' = V x and never applies the attention that
    it plots; what that gives is drawn dashed. It runs to T = 11, where tokens are of size e^1000; all is over at
    25/lambda_1, about 0.25, and beyond 36/lambda_1 tokens that look alike differ by less than a rounding. At tier
    smoke n = d = 24.
    """
    small = case.tier == "smoke"
    n, d = case.given("n", 24 if small else 40), case.given("d", 24 if small else 80)
    generator = case.generator("matrices")
    root = generator.uniform(-1, 1, (d, d))
    value = root @ root.T
    start = generator.uniform(-1, 1, (n, d))
    until = 25.0 / float(np.linalg.eigvalsh(value)[-1])
    times = np.concatenate([[0.0], np.geomspace(until / 300, until, 30)])
    field = mf.RescaledAttention(value=value, bounded=True)
    solver = mf.Adaptive(rtol=1e-5, atol=1e-7)
    path = mf.flow(mf.Tokens(mf.Euclidean(d), start), field, until=until, save=times, solver=solver)
    seen = np.asarray(path.times)
    matrices = np.asarray(mf.observe.attention(path))
    alone = [weights_at(field, np.asarray(t), path[0]) for t in seen]
    drawing = empty(13.5, 4.6)
    axes = drawing.subplots(1, 4, width_ratios=(1, 1, 1, 1.3))
    for place, k in zip(axes[:3], (0, 2 * len(seen) // 3, len(seen) - 1), strict=True):
        shade = place.imshow(matrices[k], cmap="viridis", vmin=0, vmax=1)
        place.set(title=f"$t = {seen[k]:.2g}$", xlabel="$j$", ylabel="$i$")
    drawing.colorbar(shade, ax=list(axes[:3]), label="$P_{ij}$", shrink=0.75)
    axes[3].plot(seen, mf.observe.numerical_rank(matrices), color=ACCENT[0], label=r"$\dot x_i = \sum_j P_{ij} V x_j$")
    overlay(axes[3], seen, mf.observe.numerical_rank(np.asarray(alone)), lw=1.4, label=r"published: $\dot x_i = V x_i$")
    axes[3].set(xscale="log", xlim=(seen[1], until), xlabel="time $t$", ylabel="numerical rank of $P$ (1e-6)")
    axes[3].set_box_aspect(1)
    axes[3].legend(fontsize=9)
    recipe = f"n = {n}, d = {d}, A = I, V = G G^T, G and x_0 of U[-1, 1], to 25 over the largest eigenvalue"
    caption(drawing, f"arXiv:{PAPER}, low-rank attention ({case.tier}): {recipe}; flow in the log domain, rtol 1e-5")
    return drawing


@figure(PAPER, "leaders", title="tokens look at few leaders")
def tokens_look_at_few_leaders(case: Case) -> Any:
    """n = 20, d = 2, V = G G^T, A = G G^T with G of U[-1, 1], T = 10; an edge where P_ij > 1e-4."""
    generator = case.generator("matrices")
    first, second = generator.uniform(-1, 1, (2, 2, 2))
    field = growing(first @ first.T, second @ second.T)
    n, half, until = case.given("n", 20), case.given("half side", 1.0), case.given("T", 10.0)
    path = run(case, n, 2, half, field, until)
    coarse = frozen_steps(np.asarray(path.points[0]), field, until)
    drawing = empty(13.5, 4.9)
    axes = drawing.subplots(1, 3)
    matrices = np.asarray(mf.observe.attention(path))
    last = len(path) - 1
    for place, k in zip(axes, (0, round(0.16 * last), last), strict=True):
        z, matrix = np.asarray(path.points[k]), matrices[k]
        for i, j in zip(*np.nonzero(matrix > 1e-4), strict=True):
            place.plot(*z[[i, j]].T, color=FAINT if k == 0 else MUTED, lw=0.4 + 1.2 * matrix[i, j], zorder=1)
        pulled = matrix.sum(axis=0)
        place.scatter(*z.T, s=18 + 14 * pulled, c=np.log1p(pulled), cmap="viridis_r", edgecolors=INK, linewidths=0.4)
        told = int((matrix.max(axis=0) > 1e-4).sum())
        rings(place, *coarse[round(float(path.times[k]) / STEP)].T, size=110, label=HELD if k else None)
        place.set(title=f"$t = {float(path.times[k]):.3g}$, {told} looked at", xlabel="$z_1$", ylabel="$z_2$")
        place.locator_params(axis="x", nbins=5)
    axes[2].legend(fontsize=9)
    box = f"U[-{half:g}, {half:g}]^2"
    recipe = f"V and A of the form G G^T, {n} tokens of {box}; large and dark: much looked at; lines: P_ij > 1e-4"
    said_of(drawing, case, "leaders", recipe)
    return drawing


def sparse_value(generator: np.random.Generator, d: int) -> np.ndarray:
    """Return a sparse symmetric matrix whose eigenvalues of modulus below 1 are drawn again from ±U(1, 2)."""
    upper = np.triu(generator.uniform(-1, 1, (d, d)) * (generator.uniform(size=(d, d)) < 0.1))
    roots, vectors = np.linalg.eigh(upper + np.triu(upper, 1).T)
    again = generator.choice([-1.0, 1.0], d) * generator.uniform(1, 2, d)
    return (vectors * np.where(np.abs(roots) < 1, again, roots)) @ vectors.T


@figure(PAPER, "high dimension", title="coordinates of growing directions take few values")
def coordinates_in_high_dimension(case: Case) -> Any:
    """n = d = 128, sparse symmetric V (density 0.1, small roots redrawn from ±U(1, 2)), x_0 of U[-.5, .5], T = 15.

    Coordinates along growing directions end at few values; the others diverge, up to 1e14, in rescaled coordinates
    and are seen here unrescaled. At tier smoke n = d = 24.

    The flow is shown as far as doubles know it, to 36 over the largest eigenvalue, about 8: beyond, tokens that look
    at each other's places differ by less than a rounding where e^(2 lambda t) tells them apart, so that rounding
    chooses who is looked at (a unit of time costs some forty times as much there). The published scheme goes on to 15.
    """
    d, end = case.given("d", 24 if case.tier == "smoke" else 128), case.given("T", 15.0)
    generator = case.generator("matrices")
    value = sparse_value(generator, d)
    start = mf.Tokens(mf.Euclidean(d), generator.uniform(-0.5, 0.5, (d, d)))
    solver = mf.Adaptive(rtol=1e-5, atol=1e-7)
    field = mf.RescaledAttention(value=value, bounded=True)
    roots, rows = mf.observe.eigenfunctionals(value)
    until = min(end, 36.0 / float(roots.max()))
    times = np.linspace(0, until, 31 if case.tier == "smoke" else 76)
    path = mf.flow(start, field, until=until, save=times, solver=solver)
    places = np.asarray(path.points) @ rows.T
    fastest = np.argsort(-roots)[:3]
    coarse = frozen_steps(np.asarray(start.points), field, end) @ rows.T
    ends = np.stack([coarse.min(axis=1), coarse.max(axis=1)], axis=-1)
    drawing = empty(14.0, 4.4)
    axes = drawing.subplots(1, 4)
    for place, k in zip(axes, fastest, strict=False):
        place.plot(path.times, places[..., k], color=ACCENT[1], lw=0.6, alpha=0.6)
        overlay(place, STEP * np.arange(len(ends)), ends[:, k], label="published: extremes")
        for sign in (-1, 1):  # as published: mean and deviation of the limits of either sign
            limits = places[-1, places[-1, :, k] * sign > 0, k]
            if len(limits):
                place.errorbar(until + 0.7, limits.mean(), limits.std(), fmt="_", color=INK, capsize=3, ms=9)
        place.set(xlabel="time $t$", ylabel=rf"$\varphi_k^*(z_i)$, $\lambda_k = {roots[k]:.2f}$")
    axes[0].legend(fontsize=9, loc="center right")
    found = [len(mf.observe.levels(places[-1, :, k], 0.02 * np.ptp(places[0, :, k]))) for k in range(d)]
    axes[3].scatter(roots, found, s=16, color=ACCENT[0])
    axes[3].axvline(0, color=FAINT, lw=0.8)
    axes[3].set(xlabel=r"eigenvalue $\lambda_k$", ylabel="distinct values at the end", yscale="log")
    axes[3].set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes[3].set(ylim=(0.9, 1.2 * d))
    axes[3].minorticks_off()
    recipe = f"n = d = {d}, sparse symmetric V, x_0 of U[-.5, .5], to t = {until:.3g}"
    marks = "bars: mean and deviation of limits of either sign; flow in the log domain, rtol 1e-5"
    caption(drawing, f"arXiv:{PAPER}, high dimension ({case.tier}): {recipe}; {marks}")
    return drawing
