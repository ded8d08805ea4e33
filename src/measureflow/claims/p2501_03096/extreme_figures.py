"""The figures of arXiv:2501.03096 on extreme energies, SA beside USA and beside the published steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.instances import normalised
from measureflow.claims.p2501_03096.extremes import energy
from measureflow.claims.p2501_03096.four_tokens import COUNT, RATIOS, STEP, cross
from measureflow.claims.published import normalised_steps, rings
from measureflow.flows.rest import come_to_rest
from measureflow.paths.spheres import globe
from measureflow.paths.style import ACCENT, FAINT, INK, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

PAPER = "2501.03096"
#: where globes are seen from: rows are what points to the right, up, and at the viewer; the third axis is up
TURN = normalised(np.array([[-0.6, 0.8, 0.0], [-0.32, -0.24, 0.9165], [0.733, 0.55, 0.4]]))
#: lines of predictions, and what stands for each model
DASHED = (0, (4, 3))
MODELS = {"SA": ("softmax", ACCENT[0]), "USA": ("unnormalised", ACCENT[1])}


def steps(points: np.ndarray, forms: np.ndarray, step: float, count: int, *, softmax: bool = False) -> np.ndarray:
    """Return where clouds are after normalised Euler steps; of USA, the published scheme, or of SA.

    A positive step climbs (V = D), a negative one descends (V = -D).
    """
    return normalised_steps(points, step, count, form=forms, value=forms, softmax=softmax)


def spectrum(form: np.ndarray) -> str:
    """Return a diagonal form in words."""
    return f"diag({', '.join(f'{value:g}' for value in np.diag(form))})"


def views(count: int, rows: int = 1, size: float = 3.4) -> tuple[Any, Any]:
    """Return a figure with globes in rows."""
    drawing = sheet(size * count, (size + 0.55) * rows + 0.5)
    axes = drawing.subplots(rows, count, squeeze=False)
    for ax in axes.flat:
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.axis("off")
    return drawing, axes


def draw_globe(ax: Any, states: np.ndarray, colours: Any, size: float = 26.0) -> None:
    """Draw states `(k, n, 3)` on a globe with its axes marked."""
    globe(ax, states, np.asarray(colours), np.full(states.shape[1], size), TURN)
    for k, name in enumerate("123"):
        tip = TURN @ np.eye(3)[k]
        ax.annotate(f"$e_{name}$", 1.13 * tip[:2], ha="center", va="center", fontsize=10, color=MUTED)


@figure(PAPER, "Fig. 1", title="Maximisers for positive forms: one token turns to the top eigenvector", kind="svg")
def maximisers_of_positive_forms(case: Case) -> Any:
    """V = D, d = 3, D = Id or diag(1, 3, 4), one token, 30 repeats; published steps of 0.1 for USA, 500 of them.

    Under the identity nothing moves: every Dirac is a maximiser. Otherwise all turn to ±e_3. One token under SA is
    solved exactly, x(t) = e^(Dt) x / |e^(Dt) x|, and USA runs the same curves faster; rings are the published ends.
    """
    repeats, roots = case.given("repeats", 30), case.given("eigenvalues", (1.0, 3.0, 4.0))
    start = normalised(case.generator("tokens").normal(size=(repeats, 3)))
    drawing, axes = views(2, size=4.4)
    for ax, form in zip(axes[0], (np.eye(3), np.diag(roots)), strict=True):
        times = np.concatenate([np.linspace(0, 3, 60), np.linspace(3.1, 12, 60)])
        states = normalised(np.exp(np.multiply.outer(times, np.diag(form)))[:, None] * start)
        draw_globe(ax, states, shades(repeats))
        ends = steps(start[:, None], form, 0.1, 500)[:, 0] @ TURN.T
        front = ends[:, 2] >= -0.15
        rings(ax, *ends[front, :2].T, zorder=6)
        ax.set_title(f"$D$ = {spectrum(form)}")
    said = f"one token, {repeats} starts ({case.tier}); curves: SA and USA, exact; rings: USA, 500 published steps"
    caption(drawing, f"arXiv:{PAPER}, figure 1: {said}")
    return drawing


def moved(case: Case, form: np.ndarray, model: str, sign: float, starts: np.ndarray, until: float) -> np.ndarray:
    """Return where clouds `(r, n, 3)` are at a time with V = ±D, with error control; in the smallest tier by steps."""
    if case.tier == "smoke":
        return steps(starts, form, 0.1 * sign, round(10 * until), softmax=model == "SA")
    forms = np.broadcast_to(form, (len(starts), 3, 3))
    found = come_to_rest(starts, forms, sign * forms, softmax=model == "SA", until=until)
    return found.points


@figure(PAPER, "Fig. 3", title="Minimisers for forms >= 0: full support, two points, a ring", kind="png")
def minimisers_of_positive_forms(case: Case) -> Any:
    """V = -D, d = 3, N = 400, D = Id, diag(1, .25, 1), diag(1, 0, 1), diag(0, 0, 1); 20,000 steps of .1, .5, .75, .75.

    Spread over the sphere; a cloud about ±e_2 with E[y_2^2] = .890; two points ±e_2; the equator. Both models with
    error control, to rest or up to the published time; titles give E_2 of the flow and of the published steps, and the
    minimum. The kernel is approached algebraically.
    """
    n = case.given("n", {"smoke": 32, "standard": 100, "full": 400}[case.tier])
    count = case.given("steps", {"smoke": 200, "standard": 4_000, "full": 20_000}[case.tier])
    start = normalised(np.random.default_rng(42).normal(size=(n, 3)))
    second = case.given("second eigenvalue", 0.25)
    runs = [(0.1, [1.0, 1.0, 1.0]), (0.5, [1.0, second, 1.0]), (0.75, [1.0, 0.0, 1.0]), (0.75, [0.0, 0.0, 1.0])]
    drawing, axes = views(4, rows=2)
    for column, (step, eigenvalues) in enumerate(runs):
        form, until = np.diag(eigenvalues), step * count
        least = theory.extremal_energy(form).minimum
        published = energy(form, steps(start, form, -step, count))
        for row, name in enumerate(MODELS):
            end = moved(case, form, name, -1.0, start[None], until)[0]
            draw_globe(axes[row, column], end[None], shades(n), size=14.0)
            found = [f"{energy(form, end) - least:.1e}", f"{published - least:.1e}"]
            first = f"{name}, $D$ = {spectrum(form)}"
            seen = f"$E_2 - \\min E_2$ = {found[0]}" + (f"; published {found[1]}" if name == "USA" else "")
            axes[row, column].set_title(f"{first}\n{seen}", fontsize=10)
    said = f"N = {n}, t = {count} published steps of .1, .5, .75, .75 ({case.tier}); $\\min E_2$ as predicted"
    caption(drawing, f"arXiv:{PAPER}, figure 3: {said}")
    return drawing


@figure(PAPER, "Fig. 4", title="Four repelled tokens: a rectangle, and a step that is too long")
def four_tokens_and_the_step(case: Case) -> Any:
    """V = -D, d = 2, D = diag(1, d_2), d_2 in {.5, 1, 2, ..., 10}, from angles pi/4 + k pi/2; 10^4 steps of .05, .0005.

    A rectangle (±c, ±s) with tanh(c^2)/tanh(d_2 s^2) = d_2. With .05 the published scheme fails for d_2 >= 6: two pairs
    jump between e_2 and -e_2 at every step. With .0005 it ends at t = 5, before the mild forms are at rest.
    """
    count = case.given("steps", COUNT if case.tier == "full" else 500)
    step, ratios = case.given("step", STEP), case.given("ratios", tuple(map(float, RATIOS)))
    forms = np.array([np.diag([1.0, ratio]) for ratio in ratios])
    start = np.broadcast_to(cross(0.25 * np.pi), (len(ratios), 4, 2))
    fine = np.linspace(ratios[0], ratios[-1], 200)
    curve = [theory.rectangle_of_four_tokens(ratio) for ratio in fine]
    drawing = sheet(12.0, 5.0)
    left, right = drawing.subplots(1, 2)
    left.plot(fine, [one.angle for one in curve], color=THEORY, ls=DASHED, label=r"$\tanh c^2 = d_2 \tanh(d_2 s^2)$")
    right.plot(fine, [one.energy for one in curve], color=THEORY, ls=DASHED, label=r"$\cosh c^2 \cosh(d_2 s^2)$")
    least = [theory.full_support_by_sources(np.diag([1.0, ratio])).energy for ratio in ratios]
    right.plot(ratios, least, color=INK, lw=1.0, label=r"$\min E_2$ over all measures")
    clouds = {
        f"USA, published, {count:,} steps of {step:g}": (steps(start, forms, -step, count), "o", MUTED, 9),
        f"USA, published, {count:,} steps of 0.0005": (steps(start, forms, -5e-4, count), "x", ACCENT[1], 7),
        "SA, steps of 0.05": (steps(start, forms, -0.05, min(count, 2_000), softmax=True), ".", ACCENT[0], 9),
    }
    for name, (points, marker, colour, size) in clouds.items():
        inside = "none" if marker == "o" else colour
        style = {"marker": marker, "color": colour, "ms": size, "ls": "", "mfc": inside}
        left.plot(ratios, np.arctan2(*np.abs(points[:, 0]).T[::-1]), label=name, **style)
        right.plot(ratios, [energy(form, one) for form, one in zip(forms, points, strict=True)], **style)
    left.set(xlabel="$d_2$", ylabel="angle of the first token", ylim=(0, 1.65))
    right.set(xlabel="$d_2$", ylabel="$E_2$", yscale="log")
    left.legend(loc="center right")
    right.legend(loc="upper left")
    caption(drawing, f"arXiv:{PAPER}, figure 4 ({case.tier}): four tokens on the circle, V = -D, D = diag(1, d_2)")
    return drawing


def weighted_grid(form: np.ndarray, size: int, count: int, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return angles and the density that exponentiated gradient steps on grid weights reach, as published."""
    angles = 2 * np.pi * np.arange(size) / size
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    kernel, weights = np.exp(points @ form @ points.T), np.full(size, 1.0 / size)
    for _ in range(count):
        weights = weights * np.exp(-2.0 * rate * kernel @ weights)
        weights /= weights.sum()
    return angles, size * weights


@figure(PAPER, "Fig. 5", title="The minimising density on the circle")
def minimising_densities(case: Case) -> Any:
    """V = -D, d = 2, D = diag(1, 1 + eps), eps = -.1, -.05, ..., 3; N = 1000 weights, 1500 exponentiated steps of .1.

    Left the exact density by Fourier modes, dots the published optimiser where it lags (its fourth mode decays at a
    rate of 0.005). Right the error of the optimiser, of the first order with the right slope, of that with the released
    code's slope -1.725, and of the code's exponential guess.
    """
    full = case.tier == "full"
    size, count = case.given("n", 1000 if full else 200), case.given("steps", 1500 if full else 300)
    gap, largest = case.given("spacing of eps", 0.05 if full else 0.62), case.given("largest eps", 3.0)
    excesses = np.round(np.arange(-0.1, largest + 1e-9, gap), 10)
    excesses = excesses[np.abs(excesses) > 1e-9]
    drawing = sheet(12.0, 5.2)
    left, right = drawing.subplots(1, 2)
    errors: dict[str, list[float]] = {}
    shown = excesses[np.linspace(0, len(excesses) - 1, 7).astype(int)]
    for excess in excesses:
        form = np.diag([1.0, 1.0 + excess])
        angles, reached = weighted_grid(form, size, count)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        exact = theory.full_support_minimiser(form).density(points)
        wave = np.cos(2 * angles)
        guess = np.exp((0.5 * math.e * excess + 0.2 * excess**2) * wave)
        others = {
            "published optimiser": reached,
            "first order": 1 + 0.5 * excess * wave * -theory.slope_of_minimiser_at_identity(kappa=1.0, d=2),
            "first order, slope of the released code": 1 + 0.5 * excess * wave * 1.7252548533553391,
            "guess of the released code": guess / guess.mean(),
        }
        for name, values in others.items():
            errors.setdefault(name, []).append(float(np.linalg.norm(values - exact)) / size)
        if excess in shown:
            colour = shades(len(shown))[int(np.flatnonzero(shown == excess)[0])]
            left.plot(angles, exact, color=colour, label=rf"$\epsilon$ = {excess:.2g}")
            left.plot(angles[:: size // 40], reached[:: size // 40], ".", color=colour, ms=4)
    lines = ((ACCENT[0], "-"), (THEORY, DASHED), (MUTED, "-"), (ACCENT[2], "-"))
    for (name, values), (colour, line) in zip(errors.items(), lines, strict=True):
        above, sizes = excesses > 0, np.array(values)
        right.plot(excesses[above], sizes[above], color=colour, ls=line, label=name)
        right.plot(-excesses[~above], sizes[~above], ".", color=colour)
    left.set(xlabel=r"$\varphi$", ylabel=r"density of $\mu_D$ beside the uniform law", xlim=(0, 2 * np.pi))
    right.set(xlabel=r"$|\epsilon|$", ylabel="error of the grid weights", xscale="log", yscale="log")
    left.legend(fontsize=9, ncols=2)
    right.legend(fontsize=9)
    said = f"N = {size} weights, {count} steps of .1 ({case.tier}); error: Euclidean, weights sum to 1; dots: eps < 0"
    caption(drawing, f"arXiv:{PAPER}, figure 5: {said}")
    return drawing


@figure(PAPER, "Fig. 6", title="Maximisers for negative forms: an antipodal pair", kind="png")
def maximisers_of_negative_forms(case: Case) -> Any:
    """V = D, d = 3, N = 100, D = -Id (6 runs, seed 142), diag(-1, -3, -4) (100), diag(-1, 0, 0) (10); 500 steps of .1.

    Two clusters opposite each other: about a random axis, at ±e_3, at ±e_1. Colours are the repeats. SA and USA by
    flows with error control up to t = 50; titles give the mean of E_2 beside cosh lam_min, and that of the published
    steps.
    """
    full = case.tier == "full"
    n, repeated = case.given("n", 100 if full else 32), case.given("repeats", (6, 100, 10) if full else (3, 3, 3))
    until = case.given("t", 50.0)
    forms = (-np.eye(3), np.diag([-1.0, -3.0, -4.0]), np.diag([-1.0, 0.0, 0.0]))
    drawing, axes = views(3, rows=2, size=3.9)
    for column, (form, repeats) in enumerate(zip(forms, repeated, strict=True)):
        generator = np.random.default_rng(142) if column == 0 else case.generator(f"tokens {column}")
        start = normalised(generator.normal(size=(repeats, n, 3)))
        most = theory.extremal_energy(form).maximum
        published = energy(form, steps(start, form, 0.1, 500)).mean()
        for row, name in enumerate(MODELS):
            ends = moved(case, form, name, 1.0, start, until)
            colours = np.repeat(shades(repeats), n, axis=0)
            draw_globe(axes[row, column], ends.reshape(1, -1, 3), colours, size=30.0)
            seen = f"$\\max E_2$ = {most:.4g}, reached {energy(form, ends).mean():.4g}"
            seen += f", published {published:.4g}" if name == "USA" else ""
            axes[row, column].set_title(f"{name}, $D$ = {spectrum(form)}, {repeats} runs\n{seen}", fontsize=9)
    caption(
        drawing, f"arXiv:{PAPER}, figure 6 ({case.tier}): V = D, N = {n}, t = {until:g}, published: 500 steps of .1"
    )
    return drawing


@figure(PAPER, "Fig. 7", title="Indefinite forms: the Dirac overtakes the antipodal pair")
def dirac_against_antipodal_pair(case: Case) -> Any:
    """V = D, d = 2, D = diag(-1, d), 100 values of d in [-1, 1]: e^d, cosh 1, cosh d, with the crossing at log cosh 1.

    Dots are the ends of runs from random starts, published steps of USA and the same of SA. Between 0 and tanh 1 both
    the pair and the Dirac attract; the maximum is the upper envelope of e^d and cosh 1.
    """
    full = case.tier == "full"
    values = np.linspace(-1, 1, case.given("values", 100 if full else 21))
    n, repeats = case.given("n", 20 if full else 8), case.given("repeats", 20 if full else 8)
    forms = np.array([np.diag([-1.0, d]) for d in values])
    start = normalised(case.generator("tokens").normal(size=(repeats, len(values), n, 2)))
    drawing = sheet(9.0, 5.6)
    ax = drawing.subplots()
    for name, (weighting, colour) in MODELS.items():
        ends = steps(start, forms, 0.1, 1500 if case.tier == "full" else 400, softmax=weighting == "softmax")
        reached = energy(forms, ends)
        shift, marker = (-0.003, "o") if name == "SA" else (0.003, "x")
        ax.plot(np.broadcast_to(values + shift, reached.shape).ravel(), reached.ravel(), marker, color=colour, ms=4,
                alpha=0.35, mew=0.8, mfc="none", label=f"ends of {name}")  # fmt: skip
    fine = np.linspace(-1, 1, 501)
    most = [theory.extremal_energy(np.diag([-1.0, d])).maximum for d in fine]
    ax.plot(fine, most, color=THEORY, ls=DASHED, label=r"$\max E_2$, predicted")
    ax.plot(values, np.exp(values), color=INK, lw=1.0, label="$e^d$: Dirac")
    ax.plot(values, np.full_like(values, np.cosh(1.0)), color=MUTED, lw=1.0, label=r"$\cosh 1$: pair at $\pm e_1$")
    ax.plot(values, np.cosh(values), color=FAINT, lw=1.5, label=r"$\cosh d$: pair at $\pm e_2$")
    tie = float(np.log(np.cosh(1.0)))
    ax.axvline(tie, color=THEORY, lw=0.8, label=rf"$d = \log\cosh 1$ = {tie:.4f}")
    ax.axvline(np.tanh(1.0), color=MUTED, lw=0.8, ls=":", label=r"$d = \tanh 1$: the pair loses its hold")
    ax.set(xlabel="$d$", ylabel="$E_2$")
    ax.legend(loc="upper left", fontsize=9, ncols=2)
    said = f"D = diag(-1, d), V = D, N = {n}, {repeats} runs for each of {len(values)} values, steps of .1"
    caption(drawing, f"arXiv:{PAPER}, figure 7 ({case.tier}): {said}")
    return drawing
