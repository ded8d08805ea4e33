"""Chapter 2: energy, dissipation and the plateaus between mergers."""

# %% [markdown]
# ## Metastability
#
# Along the flow the energy
#
# $$ \bar E(\mu) = \sum_{i,j} a_i a_j\, e^{\beta(\langle x_i, x_j\rangle - 1)} \in (0, 1] $$
#
# never falls, and it is known how fast it rises:
#
# $$ \frac{\mathrm d\bar E}{\mathrm dt} = 2\beta \sum_i a_i\, \bar z_i\, |\dot x_i|^2, \qquad
#    \bar z_i = \sum_k a_k\, e^{\beta(\langle x_i, x_k\rangle - 1)} $$
#
# ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 3.3, in the normalisation that stays below 1). Clusters
# far apart pull on each other with a force of the order $e^{-\beta(1-u)}$, $u$ their cosine. So the path rests on
# plateaus that last exponentially long in $\beta$, and jumps between them: from
# clusters of masses $m_q$ and $m_r$ to one of mass $m_q+m_r$ the energy rises by $2 m_q m_r$. This is the dynamic
# metastability of [arXiv:2410.06833](https://arxiv.org/abs/2410.06833).

# %%
import numpy as np

import measureflow as mf
from measureflow.paths.timelines import strata
from measureflow.report import settings, show

tokens = mf.uniform(mf.Sphere(3), n=100, seed=settings().seed)
path = mf.flow(tokens, mf.SelfAttention(beta=9.0), until=1e8, save=400)
print(path)

# %%
show(
    strata(path),
    name="metastability",
    caption="Energy, clusters and dissipation of 100 tokens on one logarithmic axis of time. On each plateau the "
    "energy is that of tight clusters that do not feel each other, $\\sum_q m_q^2$ (dashed), while the dissipation "
    "falls by many orders of magnitude and grows again towards the next merger.",
    recipe=path.recipe.text,
)

# %%
counts, times = np.asarray(path.clusters), np.asarray(path.times)
changes = np.flatnonzero(np.diff(counts)) + 1
print("clusters   from t      to t        lasted")
for begin, end in zip(changes, [*changes[1:], len(times) - 1], strict=True):
    if times[end] > 1.5 * times[begin]:
        print(f"{counts[begin]:8d}   {times[begin]:<9.3g}   {times[end]:<9.3g}   {times[end] - times[begin]:.3g}")
print(f"largest decrease of the energy over all accepted steps: {float(path.stats['largest_energy_decrease']):.1e}")
