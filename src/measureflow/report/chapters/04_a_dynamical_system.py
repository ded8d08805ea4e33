"""Chapter 4: the talk "Transformers as a dynamical system", from a layer to what is still open."""

# %% [markdown]
# ## Transformers as a dynamical system
#
# The chapters before looked at one flow. This one is the whole talk, from top to bottom: how a network becomes a flow,
# where its tokens go, how long that takes, what the place of the layer norm, a mask, noise and a long context change,
# and what nobody knows. Each figure is one of `measureflow figure`, in its small version; `--tier full` draws it with
# the published sizes.
#
# ### From layers to time
#
# A layer of a transformer with post-norm is $x_i \leftarrow N\bigl(x_i + h\,A(x_i; \mu)\bigr)$. As $h\to0$ with $t=kh$
# it is the flow $\dot x_i = P_{x_i}A(x_i;\mu)$, and the error at a fixed time is proportional to $h$: a residual
# network is a first-order discretisation. Both are in the library and have two names, since at the steps of a real
# network they differ: a cluster contracts by $1/(1+h)$ in a layer and by $e^{-h}$ in the flow.

# %%
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims import draw_figure
from measureflow.paths.style import ACCENT, THEORY, figure, house
from measureflow.report import settings, show, show_claim

now = settings()
tokens, field = mf.uniform(mf.Sphere(3), n=16, seed=now.seed), mf.SelfAttention(beta=2.0)
sharp = mf.flow(tokens, field, until=2.0, save=[0.0, 2.0], solver=mf.Adaptive(rtol=1e-11, atol=1e-13)).points[-1]
steps = [0.4, 0.2, 0.1, 0.05, 0.025]
errors = [
    float(np.abs(mf.layers(tokens, field, depth=round(2 / h), step=h, keep="last").points[-1] - sharp).max())
    for h in steps
]
order = np.log2(errors[-2] / errors[-1])
print("step h  ", "  ".join(f"{h:7.3f}" for h in steps))
print("error   ", "  ".join(f"{error:7.1e}" for error in errors))
print(f"order between the last two: {order:.2f}")

# %% [markdown]
# ### A measure moves
#
# Attention sees its context through sums alone, $\int e^{\beta\langle x,y\rangle}\,y\,\mathrm d\mu(y)$, so the velocity
# is a map $v(x;\mu)$ of a place and a measure, and infinitely many tokens obey a continuity equation,
#
# $$ \partial_t\mu + \operatorname{div}\bigl(\mu\, v(\cdot;\mu)\bigr) = 0. $$
#
# The uniform measure stands still and is unstable: a perturbation of degree $k$ grows like $e^{\lambda_k t}$ with, for
# the unnormalised model,
#
# $$ \lambda_k = \frac{k(k+d-2)\,a_k(\beta)}{\beta} $$
#
# and $a_k$ the coefficient of $e^{\beta\langle x,y\rangle}$ in harmonics. The fastest of them decides how many clusters
# appear, before any of them is there ([arXiv:2410.23228](https://arxiv.org/abs/2410.23228)).

# %%
degrees = np.arange(1, 9)
with house():
    drawing = figure(12.5, 4.2)
    left, right = drawing.subplots(1, 2)
    for beta, colour in zip((2.0, 5.0, 7.0), ACCENT, strict=True):
        rates = theory.growth_rates_around_uniform(degrees, beta=beta, d=2)
        left.plot(degrees, rates / rates.max(), "o-", color=colour, label=rf"$\beta = {beta:g}$")
    left.set(xlabel="degree $k$", ylabel=r"growth rate $\lambda_k / \max_k \lambda_k$")
    left.legend()
    betas = np.linspace(0.2, 40.0, 160)
    right.step(
        betas, [theory.dominant_degree(beta=beta, d=2) for beta in betas], color=ACCENT[0], label="fastest mode, $d=2$"
    )
    right.plot(betas, np.sqrt(2 * betas), "--", color=THEORY, label=r"$\sqrt{2\beta}$")
    right.set(xlabel=r"$\beta$", ylabel="number of clusters that appear first")
    right.legend()
show(
    drawing,
    name="fastest-mode",
    caption="Left: growth rates of the Fourier modes of a nearly uniform measure on the circle. Right: the mode that "
    "grows fastest, against the inverse temperature; dashed its limit.",
)

# %%
show(
    draw_figure("2410.23228/density", seed=now.seed),
    name="density",
    caption="A nearly uniform density on the circle at the end of its linear phase: as many peaks as the fastest mode "
    "has, near the places that its phase says ($\\delta_m$). Dashed: the published first-order scheme, whose own "
    "diffusion holds the peaks back.",
)

# %% [markdown]
# ### Where do the tokens go?
#
# Softmax attention with $Q^\top K = V = I$ is a gradient flow: the energy rises, with the speeds weighted by the
# partition functions (chapter 2). Its only stable rest is one cluster, and almost every start ends there: on spheres of
# $d\ge3$ at every $\beta$, on the circle for $\beta\ge-0.16$ ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794),
# [arXiv:2405.18273](https://arxiv.org/abs/2405.18273), [arXiv:2507.22857](https://arxiv.org/abs/2507.22857)). The
# question is *when*. In high dimension one scalar equation answers it (chapter 3): all pairs meet on the curve
# $\Gamma_\infty$. In low dimension they may take a time exponential in $\beta$.

# %%
show(
    draw_figure("2312.10794/fig-3", seed=now.seed),
    name="phase-diagrams",
    kind="png",
    caption="The probability that two tokens have met, over time and $\\beta$, with the curve $\\Gamma_\\infty$ of "
    "equiangular tokens (dashed): the front comes to the curve as $d$ grows, and for small $d$ a pale zone stays where "
    "tokens wait on plateaus.",
)

# %% [markdown]
# ### Waiting: metastability
#
# Separated clusters collapse in a time that does not grow with $\beta$ and then hold for a time like $e^{(1-u)\beta}$
# ([arXiv:2410.06833](https://arxiv.org/abs/2410.06833)). Seen in the clock of the fastest merger the energy becomes a
# staircase as $\beta\to\infty$: clusters of masses $m$ and $m'$ meet, and it jumps by $2mm'$.

# %%
show(
    draw_figure("2410.06833/staircase", seed=now.seed),
    name="staircase",
    caption="The energy of five tokens on the circle in the rescaled clock: plateaus and jumps, sharper for larger "
    "$\\beta$.",
)
show(
    draw_figure("2410.06833/escape", seed=now.seed),
    name="escape",
    caption="When a metastable state breaks, predicted without a fit.",
)

# %% [markdown]
# ### The place of the layer norm
#
# A norm after the sum, before the sum, on both sides, on the attention alone: directions then move at another speed,
#
# $$ \dot\theta_i = s_i^{-1} P_{\theta_i} A_i $$
#
# with an $s_i$ of its own for each scheme ([arXiv:2510.22026](https://arxiv.org/abs/2510.22026)). All of them end in
# one cluster; the post-norm exponentially fast, a norm before the attention only like $t^{-2}$, since the residual
# stream grows and slows the directions down.

# %%
show(
    draw_figure("2512.01868/normalisation-figure", seed=now.seed),
    name="normalisations",
    caption="Mean cosine of the tokens against the layer in a random transformer, for every place of the norm.",
)

# %% [markdown]
# ### Who sees whom
#
# With a causal mask the first token never moves, and every other one ends where it stands
# ([arXiv:2411.04990](https://arxiv.org/abs/2411.04990)). The second one closes in at rate $1/2$, the slowest.

# %%
causal = mf.flow(mf.uniform(mf.Sphere(3), n=8, seed=now.seed), mf.SelfAttention(beta=1.0, mask="causal"), until=60.0)
way = np.asarray(causal.points)
gaps = np.linalg.norm(way[-1] - way[0][0], axis=-1)
print(f"largest distance of a token from the first one's place at t = 60: {gaps.max():.1e}")
print(f"how far the first token moved: {np.abs(way[:, 0] - way[0, 0]).max():.1e}")

# %% [markdown]
# ### Noise
#
# With Brownian noise of intensity $1/\kappa$ attraction must win first: the uniform measure is stable until
# $\kappa_\#(\beta) = \beta/a_1(\beta)$. For small $\beta$ the transition is continuous; beyond $\beta_*$ it is a jump,
# and two states are stable at once ([arXiv:2512.01868](https://arxiv.org/abs/2512.01868),
# [arXiv:2606.05140](https://arxiv.org/abs/2606.05140)).

# %%
show_claim(
    "2606.05140/V19-states",
    "branches",
    "Stationary states on the circle: the order parameter against the noise, for several $\\beta$. The branch leaves "
    "the uniform measure to the right for small $\\beta$ and to the left for large $\\beta$, where it is unstable "
    "(dotted) up to the fold.",
)

# %% [markdown]
# ### Long contexts
#
# Attention over $n$ tokens becomes an average as $n\to\infty$ unless $\beta$ grows like $\gamma\log n$. Below
# $\gamma_c = 1/(1-\rho)$ one layer makes all tokens alike, above it changes nothing
# ([arXiv:2510.05554](https://arxiv.org/abs/2510.05554)).

# %%
show_claim(
    "2510.05554/V18-limit",
    "long-context",
    "Cosine of two tokens after one layer against $\\gamma$, for growing $n$, and its limit.",
)

# %% [markdown]
# ### Without a norm
#
# Free tokens grow like $e^{\lambda t}$. Rescaled by $e^{-tV}$ they have a limit: corners of a polytope for $V=I$, at
# most three parallel hyperplanes for a simple largest eigenvalue
# ([arXiv:2305.05465](https://arxiv.org/abs/2305.05465)).

# %%
show(
    draw_figure("2305.05465/polytope", seed=now.seed),
    name="polytope",
    caption="Rescaled tokens under $V=I$: their hull shrinks to a polytope, and they end at its corners.",
)

# %% [markdown]
# ### What is open
#
# Each of these is a study that can be run and made larger: `measureflow explore ID --tier standard`. None has a
# verdict.

# %%
from measureflow.report import table

table(
    ("", "question", "source", "command"),
    [
        (
            ", ".join(one.covers),
            one.question.split("\n\n")[0].replace("\n", " "),
            f"[{one.paper}](https://arxiv.org/abs/{one.paper}) {one.item}",
            f"measureflow explore {one.id}",
        )
        for one in mf.claims.explorations()
    ],
)
