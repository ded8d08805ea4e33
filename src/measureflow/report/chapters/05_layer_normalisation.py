"""Chapter 5: the talk "Large-time dynamics in transformer architectures with layer normalisation"."""

# %% [markdown]
# ## Layer normalisation
#
# With a general query-key form and a layer norm, where do the tokens go, and in which geometry do they move? This is
# the talk on [arXiv:2501.03096](https://arxiv.org/abs/2501.03096), its cases worked out to closed forms.
#
# ### A gradient flow, in a metric of its own
#
# Tokens live on the unit sphere. With $D=Q^\top K$ symmetric and $V=\pm D$ the flow of softmax attention is
#
# $$ \dot x_i = \pm P_{x_i}\frac{\sum_j e^{x_i\cdot Dx_j}\,Dx_j}{\sum_j e^{x_i\cdot Dx_j}} = \pm\nabla\log Z_\mu(x_i),
#    \qquad Z_\mu(x) = \int e^{x\cdot Dy}\,\mathrm d\mu(y), $$
#
# and $Z_\mu$ is the first variation of the energy $E(\mu) = \frac12\iint e^{x\cdot Dy}\,\mathrm d\mu\,\mathrm d\mu$.
# The denominator makes it a gradient flow not for the Wasserstein distance but for one whose *mobility* $\mu/Z_\mu$
# depends on where all the tokens are. So the energy changes by the action and by nothing else,
#
# $$ E(\mu_T)-E(\mu_0)=\pm\int_0^T\!\!\int Z_\mu|v|^2\,\mathrm d\mu\,\mathrm dt. $$

# %%
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims import draw_figure
from measureflow.paths.style import ACCENT, THEORY, figure, house
from measureflow.report import settings, show, table

now = settings()
tokens = mf.uniform(mf.Sphere(3), n=30, seed=now.seed)
descent = mf.gradient_attention(np.diag([1.0, 0.5, -1.5]), sign=-1)
path = mf.flow(tokens, descent, until=4.0, save=np.linspace(0.0, 4.0, 161))
books = mf.observe.energy_balance(path)
plain = [float(np.sum(mu.weights[:, None] * descent(mu.points, mu) ** 2)) for mu in (path[k] for k in range(161))]
print(f"energy from {books.energy[0]:.6f} to {books.energy[-1]:.6f}")
print(f"less what the action accounts for: {abs(books.residual[-1]):.1e}")
missing = books.energy[-1] - books.energy[0] + np.trapezoid(plain, path.times)
print(f"without the factor Z in the action: {abs(missing):.1e}")

# %% [markdown]
# ### The extreme energies, for every form
#
# What can the flow reach? The largest and the least energy over *all* measures have closed forms, in any dimension,
# and they depend on the extreme eigenvalues alone, except in one case: for a positive definite form the least energy
# belongs to exactly one measure, and it has a positive analytic density. Brownian motion started in the centre of the
# ellipsoid $D B_1$, killed at rate 1/2, leaves the ellipsoid with just that law.

# %%
rows = []
for eigenvalues in ((1.0, 3.0, 4.0), (-1.0, -3.0, -4.0), (-1.0, 0.3), (-1.0, 0.6), (1.0, 0.0, 1.0), (1.0, 2.0)):
    found = theory.extremal_energy(np.diag(eigenvalues))
    rows.append(
        (
            f"diag({', '.join(f'{one:g}' for one in eigenvalues)})",
            found.maximum,
            found.case.maximum,
            found.minimum,
            found.case.minimum,
        )
    )
table(("D", "largest 2E", "attained by", "least 2E", "attained by"), rows)

# %%
shape = np.diag([1.0, 2.0])
exact = theory.full_support_minimiser(shape)
exits = theory.full_support_by_exits(shape, paths=20_000, seed=now.seed)
apart = mf.gradient_attention(shape, sign=-1, weighting="unnormalised")
cloud = mf.flow(mf.uniform(mf.Sphere(2), n=64, seed=now.seed), apart, until=1e3, save=[0.0, 1e3])
print(f"least 2E: {exact.energy:.9f} by Fourier modes")
print(f"          {exits.energy:.4f} ± {exits.standard_error:.4f} by 20,000 Brownian paths")
print(f"          {2 * float(mf.observe.raw_energy(cloud[-1], field=apart)):.7f} by 64 tokens that repel one another")
angles = np.linspace(-np.pi, np.pi, 400)
ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
ended = np.asarray(cloud.points[-1])
with house():
    drawing = figure(9, 4.2)
    ax = drawing.subplots()
    ax.hist(
        np.arctan2(ended[:, 1], ended[:, 0]),
        bins=24,
        range=(-np.pi, np.pi),
        weights=np.full(64, 24 / 64),
        color=ACCENT[2],
        label="64 tokens at rest",
    )
    ax.plot(angles, exact.density(ring), color=ACCENT[0], label=r"$\mu_D$ by Fourier modes")
    ax.axhline(1.0, ls="--", color=THEORY, label="uniform")
    ax.set(xlabel=r"angle $\varphi$", ylabel="density beside the uniform law", xlim=(-np.pi, np.pi))
    ax.legend()
show(
    drawing,
    name="full-support",
    caption="The measure of least energy for $D=\\mathrm{diag}(1,2)$: not uniform, not discrete. Tokens under $V=-D$ "
    "spread out in it (here at $t=1000$); mass gathers at the ends of the axis of the *smaller* eigenvalue.",
)

# %% [markdown]
# ### Which limit the tokens find
#
# The flow need not find the extreme it aims at: other states of rest are stable too. Linear theory says where:
# under attraction a cluster at $e_1$ is stable while $\lambda_1$ is positive and the largest, two clusters at
# $\pm e_1$ while $\lambda_2<\lambda_1\tanh\lambda_1$; both are attractors in between, and the starts decide. The phase
# map starts random tokens for every pair of eigenvalues and colours the limit found; the lines are the theory, which
# knows nothing of the runs.

# %%
show(
    draw_figure("2501.03096/phase-map", tier=now.tier, seed=now.seed),
    name="phase-map",
    kind="png",
    caption="Limits of random tokens on the circle over the two eigenvalues of $D$, and the borders of linear "
    "stability. Left attraction, right repulsion. `measureflow figure 2501.03096/phase-map --tier full` has 64 × 64 "
    "cells of 64 tokens.",
)
show(
    draw_figure("2501.03096/fig-2", tier=now.tier, seed=now.seed),
    name="one-or-two-clusters",
    caption="The share of runs that end in one cluster, against $d_1$ in $D=\\mathrm{diag}(d_1,1)$: all of them just "
    "where two clusters are unstable, $\\tanh 1<d_1<1.1997$ (shaded). Crosses: the counts of the released code, with "
    "100 tokens. Fewer tokens meet in one cluster more often outside.",
)

# %% [markdown]
# ### How fast
#
# Every rate at a state of rest is closed: $-\mu_k$ within a cluster at $e_k$ and $\mu_j-\mu_k$ for its motion along
# $e_j$. Where the largest eigenvalue of the form that matters vanishes there is no rate at all: for $D=\lambda ee^\top$
# under repulsion the heights $h=e\cdot x$ decay like $\langle h^2\rangle\sim1/(2\lambda^2t)$.

# %%
heights = mf.flow(
    mf.uniform(mf.Sphere(3), n=40, seed=now.seed),
    mf.gradient_attention(np.diag([0.0, 0.0, 1.0]), sign=-1),
    until=1e4,
    save=[0.0, *np.geomspace(0.1, 1e4, 21)],
)
spread = np.asarray(heights.points)[:, :, 2].var(axis=1)
print("t            ", "  ".join(f"{t:7.0f}" for t in heights.times[-9::4]))
print("2 t <h^2>    ", "  ".join(f"{2 * t * s:7.4f}" for t, s in zip(heights.times[-9::4], spread[-9::4], strict=True)))

# %% [markdown]
# ### The geometry itself
#
# The distance of the metric is the least action, $W_m(\mu_0,\mu_1)^2=\inf\int_0^1\!\int Z_{\mu_t}|v_t|^2\mathrm d\mu_t
# \mathrm dt$, and lies between $e^{\mp\|D\|/2}W_2$. The action is not jointly convex, so the library says what it
# found: a critical path, the best of several starts, with its residual. Its minimising movements, *descend a little
# and stay close in $W_m$*, give the softmax flow back, to first order in the step.

# %%
spread_out = mf.uniform(mf.Sphere(2), n=24, seed=now.seed)
gathered = mf.cap(mf.Sphere(2), n=24, angle=0.6, seed=now.seed + 1)
rows = []
for size in (0.0, 1.0, 2.0):
    found = mf.wasserstein_m(spread_out, gathered, size * np.diag([1.0, -0.5]), times=17)
    rows.append((f"{size:g} · diag(1, -1/2)", found.lower, found.distance, found.upper, f"{found.residual:.0e}"))
table(("D", "lower bound", "W_m", "upper bound", "residual"), rows)
with house():
    drawing = figure(9, 4.2)
    ax = drawing.subplots()
    for name, path, colour in (
        ("$W_2$", mf.wasserstein_m(spread_out, gathered, 0.0, times=17).path, THEORY),
        (r"$W_m$, $D=2\,\mathrm{diag}(1,-1/2)$", found.path, ACCENT[0]),
    ):
        way = np.unwrap(np.arctan2(path.points[..., 1], path.points[..., 0]), axis=0)
        lines = ax.plot(path.times, way, color=colour, lw=1, ls="--" if colour == THEORY else "-")
        lines[0].set_label(name)
    ax.set(xlabel="time along the geodesic", ylabel=r"angle $\varphi$ of the tokens")
    ax.legend()
show(
    drawing,
    name="geodesics",
    caption="Geodesics between a spread-out and a gathered cloud. Where $Z_\\mu$ is large moving is dear.",
)

# %%
start, form = mf.uniform(mf.Sphere(3), n=10, seed=now.seed), np.diag([1.0, 0.5, -1.0])
smooth = mf.flow(start, mf.gradient_attention(form, sign=-1), until=1.0, save=[0.0, 1.0]).points[-1]
steps = (0.2, 0.1, 0.05)
jumps = [mf.minimising_movements(start, form, step=tau, until=1.0) for tau in steps]
errors = [float(np.abs(path.points[-1] - smooth).max()) for path in jumps]
print("step tau", "  ".join(f"{tau:7.2f}" for tau in steps))
print("error   ", "  ".join(f"{error:7.1e}" for error in errors))
print(f"order: {np.log2(errors[-2] / errors[-1]):.2f}; the energy falls at every step by at least its share:", end=" ")
print(all(path.stats["least_decrease"] >= 0 for path in jumps))

# %% [markdown]
# ### Where there is no energy
#
# A form that is not symmetric has no energy, and tokens need not come to rest. On the circle, with an antisymmetric
# form of size $\varepsilon$, a regular ring turns for ever with the speed $I_1(\varepsilon)/I_0(\varepsilon)$.

# %%
turn = 0.6 * np.array([[0.0, -1.0], [1.0, 0.0]])
turning = mf.SelfAttention(beta=1.0, query=turn, value=-1.0)
corners = 2 * np.pi * np.arange(60) / 60
ring = mf.Tokens(mf.Sphere(2), np.stack([np.cos(corners), np.sin(corners)], axis=1))
turned = mf.flow(ring, turning, until=10.0, save=[0.0, 10.0])
angle = np.unwrap([0.0, *np.arctan2(turned.points[:, 0, 1], turned.points[:, 0, 0])])[-1]
print(f"turned by {abs(angle):.9f} in t = 10; predicted {10 * abs(theory.rotation_of_ring(twist=0.6)):.9f}")
print(f"share of the velocity that is a gradient: {float(mf.observe.gradient_part(ring, field=turning)):.2e}")
