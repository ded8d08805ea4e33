"""Chapter 1: what attention does to tokens on the sphere."""

# %% [markdown]
# ## Tokens on the sphere
#
# A context of tokens $x_1,\dots,x_n$ with masses $a_1,\dots,a_n$ is a measure $\mu=\sum_i a_i\delta_{x_i}$. Layer
# normalisation puts the tokens on the unit sphere, and a layer of self-attention moves each one towards the tokens that
# it attends to. With depth as time $t$ this is
#
# $$ \dot x_i = P_{x_i} \frac{\sum_j a_j\, e^{\beta\langle x_i, x_j\rangle}\, x_j}
#                            {\sum_k a_k\, e^{\beta\langle x_i, x_k\rangle}}, $$
#
# where $P_x y = y - \langle x,y\rangle x$ keeps the motion on the sphere and $\beta$ is the inverse temperature of the
# softmax: the model SA of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794). Tokens gather in clusters, fast; the
# clusters then merge, slowly, one pair at a time, and in the end one is left.

# %%
import measureflow as mf
from measureflow.report import settings, show

tokens = mf.uniform(mf.Sphere(3), n=200, seed=settings().seed)
field = mf.SelfAttention(beta=9.0)
path = mf.flow(tokens, field, until=1e8)
print(path)

# %%
show(
    path.plot(),
    name="tokens-on-the-sphere",
    caption="200 tokens, drawn uniformly on the sphere $S^2$, at five times with the way they came since the time "
    "before; the far side is faded, a dot's size grows with the tokens it holds, and colour tells the clusters of a "
    "plateau apart. Below: the energy and the number of clusters (components of the graph of pairs with cosine "
    "above $1-10^{-3}$) along the same run, the five times marked.",
    recipe=path.recipe.text,
)

# %% [markdown]
# A network does not follow this flow: it takes a few big steps, $x \leftarrow N(x + h\,A(x;\mu))$ with $N$ the
# normalisation. That is another map with another clock: near a cluster one step contracts by $1/(1+h)$ where the flow
# over time $h$ contracts by $e^{-h}$. `mf.layers` is the map, `mf.flow` the flow, and the two are never confused.

# %%
shallow = mf.layers(tokens, field, depth=24, step=0.25)
exact = mf.flow(tokens, field, until=6.0, save=shallow.times)
gap = exact.energy - shallow.energy
print(f"energy after 24 layers of step 0.25: {float(shallow.energy[-1]):.4f}")
print(f"energy of the flow at time 6:        {float(exact.energy[-1]):.4f}")
print(f"largest difference on the way:       {float(abs(gap).max()):.4f}")
