"""Figures of the paper: clusters emerge from a uniform start, as particles and as a density on the circle."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.published import overlay
from measureflow.paths.style import INK, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

#: the published runs: beta, the time of the histogram, and the ends of the particles and of the density
BETAS, SHOWN, ENDS, DENSITY_ENDS = (5.0, 7.0), (0.30, 0.045), (0.6, 0.1), (0.5, 0.08)
#: particles nearer than this are of one cluster (cosine 1 - 1e-3), which counts with a share of them from 0.01 on
NEAR, COUNTS = 0.0447, 0.01
#: published numbers: particles, step of explicit Euler, grid of the density, its noise, and dt/dx
PARTICLES, STEP, GRID, SIGMA, COURANT = 20_000, 1e-4, 10_000, 0.01, 0.02
#: what each tier takes of them
SHARE = {"smoke": (0.02, 0.05), "standard": (1.0, 0.1), "full": (1.0, 1.0)}


def pull(modes: np.ndarray, beta: float, angles: np.ndarray) -> np.ndarray:
    """Return the USA velocity on the circle at angles, from the Fourier modes of the measure."""
    k = np.arange(1, len(modes))
    weights = 2.0 / beta * k * theory.funk_hecke_coefficients(k, beta=beta, d=2) * modes[1:]
    turn = np.exp(1j * angles)
    total = np.zeros_like(turn)
    for weight in weights[::-1]:  # Horner's rule
        total = (total + 1j * weight) * turn
    return np.real(total)


def modes_of(angles: np.ndarray, degree: int) -> np.ndarray:
    """Return the mean of e^(-ik theta), k = 0..degree."""
    turn, power = np.exp(-1j * angles), np.ones_like(angles, dtype=complex)
    modes = [1.0 + 0j]
    for _ in range(degree):
        power = power * turn
        modes.append(power.mean())
    return np.array(modes)


def euler(angles: np.ndarray, beta: float, until: float) -> np.ndarray:
    """Follow particles by the published explicit Euler steps; the kernel's modes beyond 40 are below rounding."""
    for _ in range(round(until / STEP)):
        angles = angles + STEP * pull(modes_of(angles, 40), beta, angles)
    return angles


def shares_of_clusters(angles: np.ndarray) -> np.ndarray:
    """Return the share of each chain of near particles on the circle, around it."""
    ordered = np.sort(angles % (2 * np.pi))
    wide = np.flatnonzero(np.diff(ordered, append=ordered[0] + 2 * np.pi) > NEAR)
    if not wide.size:
        return np.ones(1)
    return np.diff(wide, append=wide[0] + len(ordered)) / len(ordered)


def histogram(ax: Any, angles: np.ndarray, stepped: np.ndarray, centres: np.ndarray) -> None:
    """Draw a histogram of particles, that of the published steps as an outline, and the predicted centres."""
    bins = np.linspace(0, 2 * np.pi, 101)
    ax.hist(angles, bins, density=True, color=shades(3)[1], alpha=0.8, label="our flow")
    heights = np.histogram(stepped % (2 * np.pi), bins, density=True)[0]
    overlay(ax, bins[:-1], heights, drawstyle="steps-post", color=INK, label="published steps of 1e-4")
    for m, centre in enumerate(centres):
        ax.axvline(centre, ls="--", color=THEORY, label=r"$\delta_m$" if m == 0 else None)
    ax.set(xlabel=r"$\theta$", ylabel="density")


@figure("2410.23228", "particles on the circle", kind="png", id="2410.23228/particles")
def particles_gather_where_the_fastest_mode_says(case: Case) -> Any:
    """USA on the circle, n = 20,000 independent uniform particles, beta = 5 (T = 0.6) and 7 (T = 0.1).

    Above, histograms at the published times of theirs, 0.30 and 0.045, by our error-controlled flow, the published
    Euler steps of 1e-4 as outlines, and the predicted centres delta_m. In the middle, the same at the ends of the
    published runs, with the count of clusters that hold a hundredth of the particles or more. Below, Fourier modes
    against their rates k^2 I_k/beta (dashed) and the rates of the paper's notebook, too small by pi (dotted). One sees
    3 and 4 clusters; the few particles of the smoke tier fluctuate too much for a linear phase, and gather elsewhere
    and in fewer clusters. The seeds are ours: those of the paper belong to another generator.
    """
    drawing = sheet(11.0, 10.6)
    axes = drawing.subplots(3, 2)
    n = case.given("n", int(PARTICLES * SHARE[case.tier][0]))
    runs = case.given("betas", BETAS), case.given("times shown", SHOWN), case.given("ends", ENDS)
    for column, (beta, until, end) in enumerate(zip(*runs, strict=True)):
        start = case.generator(f"angles at beta {beta:g}").uniform(0, 2 * np.pi, n)
        times = np.linspace(0.0, until, 41)
        tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(start), np.sin(start)], axis=1))
        # few particles are summed one by one, which compiles faster
        way = None if case.tier == "smoke" else mf.sums.Harmonic(degree=40)
        field = mf.SelfAttention(beta, weighting="unnormalised", sum=way)
        solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False)
        saved = np.append(times, end)
        points = np.asarray(mf.flow(tokens, field, until=end, save=saved, solver=solver).points)
        angles = np.arctan2(points[..., 1], points[..., 0]) % (2 * np.pi)
        degree = theory.dominant_degree(beta=beta, d=2)
        above, middle, below = axes[:, column]
        centres = theory.selected_peaks(start, degree=degree)
        stepped = euler(start, beta, until)
        histogram(above, angles[-2], stepped, centres)
        above.set_title(rf"$\beta={beta:g}$, $t={until:g}$, $n={n:,}$")
        histogram(middle, angles[-1], euler(stepped, beta, end - until), centres)
        shares = shares_of_clusters(angles[-1])
        large = shares[shares >= COUNTS]
        middle.set_title(rf"$T={end:g}$: {len(large)} clusters, {100 * large.sum():.3g} % of the particles")
        angles = angles[:-1]
        rates = theory.growth_rates_around_uniform(np.arange(1, 7), beta=beta, d=2, model="unnormalised")
        for k, shade in zip(range(1, 7), shades(6), strict=True):
            size = np.abs(np.exp(-1j * k * angles).mean(axis=1))
            below.semilogy(times, size, color=shade, label=f"$k={k}$", lw=2.5 if k == degree else 1.2)
        size = np.abs(np.exp(-1j * degree * start).mean())
        below.semilogy(times, size * np.exp(rates[degree - 1] * times), "--", color=THEORY, label=r"$k^2I_k/\beta$")
        below.semilogy(times, size * np.exp(rates[degree - 1] / np.pi * times), ":", color=THEORY, label="printed rate")
        shown = theory.emergence_time(amplitude=n**-0.5, beta=beta, d=2, model="unnormalised")
        below.axvline(shown, color=MUTED, lw=0.8, label=r"$\log n/(2\lambda)$")
        below.set(xlabel="time $t$", ylabel=r"$|\hat\mu_k|$", ylim=(1e-4, 1.5))
        if column == 0:
            below.legend(ncol=2, fontsize=9)
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncol=3)
    said = f"USA on the circle, {n:,} uniform particles, flow with rtol 1e-8; thick: the mode of fastest growth"
    caption(drawing, f"arXiv:2410.23228, particles ({case.tier}): {said}")
    return drawing


def lax_friedrichs(u: np.ndarray, beta: float, until: float) -> tuple[np.ndarray, float]:
    """Follow a density by the published first-order scheme, with dt = 0.02 dx; return it and the largest |v| dt/dx."""
    size = len(u)
    dx = 2 * np.pi / size
    angles, count = dx * np.arange(size), max(1, round(until / (COURANT * dx)))
    h = until / count
    kernel, fastest = np.fft.rfft(np.exp(beta * np.cos(angles)) * -np.sin(angles)), 0.0
    for _ in range(count):
        velocity = np.fft.irfft(kernel * np.fft.rfft(u), size) * dx
        fastest, flux = max(fastest, float(np.abs(velocity).max())), u * velocity
        u = 0.5 * (np.roll(u, -1) + np.roll(u, 1)) - h / (2 * dx) * (np.roll(flux, -1) - np.roll(flux, 1))
    return u, fastest * h / dx


@figure("2410.23228", "density on the circle", id="2410.23228/density")
def density_gathers_as_the_particles_do(case: Case) -> Any:
    """The continuity equation of USA on the circle, beta = 5 (T = 0.5) and 7 (T = 0.08), from 1/2pi + 0.01 white noise.

    The published run: 10,000 grid points, Lax-Friedrichs with dt = 0.02 dx. Ours starts from the first 10 modes of the
    same noise, on which alone anything depends, and is spectral with controlled error; the published scheme is overlaid
    from the same start. Its numerical diffusion, dx^2/(2 dt), lowers every rate by some 25 dx k^2, and it needs
    |v| dt < dx: clusters at beta = 7 pull faster than that, and it oscillates (the caption then says so). A picture
    ends where the spectral density is no longer resolved.
    """
    drawing, unstable = sheet(11.0, 4.6), ""
    runs = case.given("betas", BETAS), case.given("ends", DENSITY_ENDS)
    sigma = case.given("noise", SIGMA)
    for ax, (beta, end) in zip(drawing.subplots(1, 2), zip(*runs, strict=True), strict=True):
        size = int(GRID * SHARE[case.tier][1])
        noise = case.generator(f"noise at beta {beta:g}").normal(size=GRID) * sigma
        modes = np.fft.rfft(noise)[:11] / GRID * 2 * np.pi
        modes[0] = 1.0

        def values(count: int, modes: np.ndarray = modes) -> np.ndarray:
            return np.fft.irfft(np.pad(modes, (0, count // 2 - 10)), count) * count

        points = 64 if case.tier == "smoke" else 2048
        density = mf.Density(mf.Sphere(2), values(points))
        field = mf.SelfAttention(beta, weighting="unnormalised")
        path = mf.flow(density, field, until=end, save=9, solver=mf.Adaptive(rtol=1e-5, atol=1e-7))
        shown = max(points, 512)  # trigonometric polynomials, drawn without corners
        fine = 2 * np.pi * np.arange(shown) / shown
        ax.plot(fine, values(shown) / (2 * np.pi), color=MUTED, lw=1.0, label="$t=0$")
        last = float(path.times[-1])
        exact = np.fft.irfft(np.fft.rfft(np.asarray(path.values)[-1]), shown) * shown / points
        ax.plot(fine, exact / (2 * np.pi), color=shades(3)[0], label="spectral, error-controlled")
        low, high = ax.get_ylim()  # of what is exact
        coarse, courant = lax_friedrichs(values(size) / (2 * np.pi), beta, last)
        unstable += f"; published steps at beta = {beta:g} unstable, |v| dt up to {courant:.2g} dx" * (courant > 1)
        places = 2 * np.pi * np.arange(size) / size
        overlay(ax, places, coarse, lw=1.2, label=f"published: Lax-Friedrichs, {size:,} points")
        degree = theory.dominant_degree(beta=beta, d=2)
        for m in range(degree):
            centre = (2 * np.pi * m - np.angle(modes[degree])) / degree % (2 * np.pi)
            ax.axvline(centre, ls="--", lw=1.0, color=THEORY, label=r"$\delta_m$" if m == 0 else None, zorder=0)
        ax.set(xlabel=r"$\theta$", ylabel="density", title=rf"$\beta={beta:g}$, $t={last:.3g}$", ylim=(low, high))
    drawing.legend(*drawing.axes[0].get_legend_handles_labels(), loc="outside upper center", ncol=4)
    said = "continuity equation of USA on the circle, from the first 10 modes of white noise of deviation "
    caption(drawing, f"arXiv:2410.23228, density ({case.tier}): {said}{sigma:g}{unstable}")
    return drawing
