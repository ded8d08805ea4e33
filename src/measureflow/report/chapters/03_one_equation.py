"""Chapter 3: equiangular tokens, where n bodies become one scalar equation."""

# %% [markdown]
# ## One equation for all
#
# If all pairs of $n$ tokens have the same cosine $\rho$ at first, they have it at every time, and it solves
#
# $$ \dot\rho = \frac{2\,e^{\beta\rho}\,(1-\rho)\,((n-1)\rho+1)}{e^{\beta}+(n-1)\,e^{\beta\rho}} $$
#
# ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (6.7)). Independent tokens in a very high dimension are nearly
# orthogonal, so this curve, from $\rho=0$, is what they all follow: the cosine of each pair gathers around it as
# $d$ grows.

# %%
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.paths.style import ACCENT, THEORY, figure, house, shades
from measureflow.report import settings, show

n, beta = 32, 3.0
times = np.linspace(0.0, 8.0, 81)
predicted = theory.cosine_of_equiangular_tokens(times, n=n, beta=beta, start=0.0)
field = mf.SelfAttention(beta=beta)
tight = mf.Adaptive(rtol=1e-11, atol=1e-13)
exact = mf.flow(mf.equiangular(n=n, cosine=0.0), field, until=8.0, save=times, solver=tight)
error = np.abs(np.asarray(mf.observe.cosine(exact)) - predicted).max()
print(f"largest difference between {n} particles and the scalar equation, t in [0, 8]: {error:.1e}")

# %%
dimensions = (8, 128, 2048)
clouds = {
    d: mf.flow(mf.uniform(mf.Sphere(d), n=n, seed=settings().seed), field, until=8.0, save=times) for d in dimensions
}
first, second = np.triu_indices(n, 1)

with house():
    drawing = figure(12.5, 4.6)
    for axes, (d, path), colour in zip(
        drawing.subplots(1, 3, sharey=True), clouds.items(), shades(3, 0.15, 0.6), strict=True
    ):
        pairs = np.asarray(mf.observe.cosines(path))
        axes.plot(times, pairs[:, ::3], color=colour, lw=0.5, alpha=0.25, rasterized=True)
        axes.plot([], [], color=colour, lw=1.0, label="cosines of pairs")
        axes.plot(times, predicted, color=THEORY, ls=(0, (5, 3)), lw=2.4, label=r"the equation, $\rho(0)=0$")
        axes.plot(times[::8], np.asarray(mf.observe.cosine(exact))[::8], "o", color=ACCENT[0], ms=4.5, mfc="white",
                  label="equiangular particles")  # fmt: skip
        axes.set(title=rf"$d={d}$", xlabel="time $t$", xlim=(0, 8), ylim=(-1, 1.02))
        spread = float(np.abs(pairs - predicted[:, None]).mean())
        said = f"mean distance to the curve {spread:.3f}"
        axes.text(0.97, 0.05, said, transform=axes.transAxes, ha="right", fontsize=10)
    drawing.axes[0].set_ylabel(r"cosine $\langle x_i, x_j\rangle$")
    drawing.axes[2].legend(loc="center right")
show(
    drawing,
    name="one-equation",
    caption="The cosines of pairs among 32 independent uniform tokens on $S^{d-1}$ for three dimensions $d$, "
    "$\\beta=3$. Dashed: the scalar equation from $\\rho(0)=0$. Circles: 32 exactly orthogonal tokens, integrated as "
    "particles, which are on the curve to the solver's tolerance.",
    recipe=exact.recipe.text,
)
