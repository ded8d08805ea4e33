"""Chapter 6: Sinkformers, residual networks as equations, and the mathematical theory of attention."""

# %% [markdown]
# ## Sinkformers and the theory of attention
#
# Three questions about one layer. What if attention were balanced, so that every token is listened to as much as it
# listens? When is a stack of layers an equation? And by how much can attention stretch what it is given?
#
# ### Doubly stochastic attention
#
# Softmax makes the *rows* of the attention matrix sum to one. Doing the same to the columns, then to the rows again,
# and so on, is Sinkhorn's iteration; its limit is doubly stochastic, and softmax is its first half step
# ([arXiv:2110.11773](https://arxiv.org/abs/2110.11773)). In the library it is one word, and the derivative is that of
# the limit, not of the iterations.

# %%
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims import draw_figure
from measureflow.paths.style import ACCENT, MUTED, THEORY, figure, house
from measureflow.report import settings, show, show_claim, table

now = settings()
tokens = mf.uniform(mf.Euclidean(2), n=12, seed=now.seed)
kinds = ("unnormalised", "softmax", "sinkhorn")
fields = {kind: mf.SelfAttention(beta=1.0, value=-1.0, weighting=kind) for kind in kinds}
for kind, field in fields.items():
    weights = np.asarray(field.weights(tokens.points, tokens))
    rows, columns = weights.sum(axis=1), weights.sum(axis=0)
    print(f"{kind:>12}: rows sum to {rows.min():.3f} .. {rows.max():.3f}, columns to {columns.min():.3f} .. ", end="")
    print(f"{columns.max():.3f}")

# %% [markdown]
# With $W_V=-W_K^\top W_Q$ symmetric, which of them are gradient flows? A field is one for the Wasserstein distance if
# the Jacobian of all the velocities is symmetric. The two ends of Sinkhorn's iteration are, softmax between them is
# not; and it is one in the metric of the chapter before.

# %%
table(
    ("weights", "asymmetry of the Jacobian", "the same, velocities weighted by Z"),
    [
        (
            kind,
            f"{float(mf.observe.asymmetry(tokens, field=field)):.1e}",
            f"{float(mf.observe.asymmetry(tokens, field=field, metric='partition')):.1e}" if kind == "softmax" else "",
        )
        for kind, field in fields.items()
    ],
)

# %% [markdown]
# At a small bandwidth, $c(x,y)=-|x-y|^2/2\varepsilon$, a balanced layer sees nothing of the density but its score:
# the barycentre of what a token attends to lies at $x+\frac\varepsilon2\nabla\log\rho$, and tokens that repel one
# another diffuse, $\dot\rho=\frac12\Delta\rho$. Softmax gives $\Delta\rho$, no normalisation $\frac12\Delta\rho^2$.

# %%
show_claim(
    "2110.11773/T13",
    "heat-limit",
    "The drift of a layer over the bandwidth, and its limit as the bandwidth goes to 0 (dashed), for three weightings.",
)
show(
    draw_figure("2110.11773/toy", tier=now.tier, seed=now.seed),
    name="links",
    caption="Who attends to whom among five tokens, queries (circles) and keys (squares): softmax beside the balanced "
    "attention, whose links become a matching.",
)

# %% [markdown]
# ### Layers and equations
#
# A residual network $x_{k+1}=x_k+\frac1N f(x_k,\theta_k)$ is Euler's method for $\dot x=f(x,\theta(s))$. The distance
# between the two has a bound with constants that can be measured, and whether it goes to zero depends on the weights
# being smooth in depth ([arXiv:2205.14612](https://arxiv.org/abs/2205.14612)). If it does, activations need not be
# stored: they can be computed backwards, with an error of order $1/N$ by Euler's method and of order $1/N^3$ by Heun's.

# %%
field = mf.SelfAttention(beta=1.0)
depths = (16, 32, 64)
rows = []
for method in ("euler", "heun"):
    paths = [mf.layers(tokens, field, depth=depth, step=1 / depth, method=method) for depth in depths]
    against = mf.compare(paths)
    back = [float(np.abs(np.asarray(mf.flows.reconstruct(path).points - path.points)).max()) for path in paths]
    rows += [
        (f"{method}: from the flow", *(f"{error:.1e}" for error in against.worst), f"{against.order:.2f}"),
        (f"{method}: its bound", *(f"{bound:.1e}" for bound in against.bound), ""),
        (f"{method}: rebuilt backwards", *(f"{error:.1e}" for error in back), f"{np.log2(back[-2] / back[-1]):.2f}"),
    ]
table(("largest error", *(f"{depth} layers" for depth in depths), "order"), rows)

# %%
show(
    draw_figure("2205.14612/weights", tier=now.tier, seed=now.seed),
    name="weights-in-depth",
    caption="A deep linear residual network trained from zero: its weights stay smooth in depth.",
)

# %% [markdown]
# ### Attention as a Markov kernel
#
# Softmax attention from $x$ is a Gibbs law, the reweighting of the context that maximises entropy at its mean score
# ([arXiv:2007.02876](https://arxiv.org/abs/2007.02876)). So a layer of pure attention mixes, and the diameter of the
# tokens contracts at least by $\tanh(\omega/2)$, with $\omega$ the largest spread of the scores of a row.
#
# How much can it stretch? On $n$ tokens in a ball, like $\sqrt n$, until $n\approx e^{2\gamma R^2}$: from there on the
# measure is all that counts, and the constant saturates
# ([arXiv:2312.14820](https://arxiv.org/abs/2312.14820)).

# %%
show(
    draw_figure("2312.14820/growth", tier=now.tier, seed=now.seed),
    name="lipschitz",
    caption="Local Lipschitz constants of attention against the number of tokens: inputs made to be stretched, random "
    "ones, and the bounds.",
)

# %% [markdown]
# ### Gaussians
#
# Under attention a Gaussian stays one, with the closed equation $\dot S=BS+SB^\top$ for its covariance
# ([arXiv:2501.18322](https://arxiv.org/abs/2501.18322)). Softmax can blow up in finite time; doubly stochastic and L2
# attention cannot. Without blow-up the covariance loses rank, by half in general.

# %%
cov, times = [[0.25]], np.linspace(0.0, 1.99, 80)
law = mf.Gaussian([0.0], cov)
end = theory.blow_up_time_of_gaussian(cov, [[1.0]])
with house():
    drawing = figure(9, 4.2)
    ax = drawing.subplots()
    for kind, colour in (("softmax", ACCENT[0]), ("sinkhorn", ACCENT[1])):
        path = mf.flow(law, mf.SelfAttention(beta=1.0, weighting=kind), until=6.0, save=np.linspace(0.0, 6.0, 241))
        print(f"{kind:>8}: {path.status} at t = {float(path.times[-1]):.6f}")
        ax.plot(path.times, np.asarray(path.cov)[:, 0, 0], color=colour, label=kind)
    ax.plot(times, theory.covariance_of_gaussian(times, cov, [[1.0]])[:, 0, 0], "--", color=THEORY, label="closed form")
    ax.axvline(end, color=MUTED, lw=0.8, ls=":", label=f"$t^* = {end:g}$")
    ax.set(xlabel="$t$", ylabel="variance", yscale="log", ylim=(0.2, 1e4), xlim=(0, 6))
    ax.legend()
show(
    drawing,
    name="gaussians",
    caption="The variance of a Gaussian on the line under softmax attention, which explodes at $t^*=2$, and under "
    "doubly stochastic attention, which grows exponentially.",
)
show(
    draw_figure("2501.18322/to-a-line", tier=now.tier, seed=now.seed),
    name="to-a-line",
    caption="Covariances of two dimensions as points of the cone $(a-b,2c,a+b)$: with one attention head of rank one "
    "they come to rest at rank one, on one ray of the cone's surface.",
)

# %% [markdown]
# ### What is open
#
# Whether balance helps a classifier, whether trained networks discretise an equation, how attention stretches on real
# text: each is a study that runs on this machine, `measureflow explore 2110.11773/2.5-digits`,
# `measureflow explore 2205.14612/Q10`, `measureflow explore 2312.14820/Q8`.
