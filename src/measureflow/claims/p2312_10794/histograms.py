"""Figure 1 of arXiv:2312.10794: the cosines of all pairs of tokens along the layers of an ALBERT."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.alberts import albert_of_figures, context_of
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.paths.style import caption, shades
from measureflow.paths.style import figure as sheet

__all__ = ["cosine_histograms"]

#: layers that are shown: those of figure 1, trained and twice as deep, and of the survey 2512.01868
LAYERS = (0, 1, 5, 24, 30, 48)


@figure(
    "2312.10794",
    "Fig. 1",
    title="Cosines of all pairs along the layers of an ALBERT",
    kind="png",
    also=("2512.01868",),
)
def cosines_along_the_layers_of_an_albert(case: Case) -> Any:
    """ALBERT xlarge v2 on a paragraph of more than 300 tokens, layers 0 to 24, and the same weights run to layer 48.

    Mass moves to cosine 1 with depth, and more so at 48 than at 24. The model is that of `MEASUREFLOW_ALBERT` (a folder
    or a hub name), else the published one where it is found, else a network of its shape before training, which the
    caption says; the paragraph is ours, or ids drawn at random for a model that reads no English. At tier smoke a small
    random network, to layer 12.
    """
    model, said = albert_of_figures(case)
    shown = case.given("layers", (0, 3, 12) if case.tier == "smoke" else LAYERS)
    ids = context_of(case, model)
    path = mf.trace(model, ids, depth=shown[-1], record=())
    drawing = cosine_histograms(path, shown)
    caption(
        drawing, f"arXiv:2312.10794, figure 1 ({case.tier}): {said}, {model.config.layers} layers; {len(ids)} tokens"
    )
    return drawing


def cosine_histograms(path: mf.Path, depths: Any = None, *, bins: int = 50) -> Any:
    r"""Draw figure 1 of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794): the cosines of all pairs at some depths.

    Published for ALBERT xlarge v2 at layers 0 to 24, and with the same weights run to layer 48. For a model of shared
    weights `mf.trace(model, text, depth=48)` runs on; for any other, run the fields again:
    `mf.layers(path[-1], model.fields, ...)` with the sequence twice.

    Arguments:
        path: a trace, or any path. depths: indices of its states; `None` is six of them, evenly spaced. bins: of
            [-1, 1].

    Example:
        >>> import measureflow as mf
        >>> from measureflow.claims.p2312_10794.histograms import cosine_histograms
        >>> path = mf.layers(mf.equiangular(n=4, cosine=0.0), mf.SelfAttention(1.0), depth=2, step=1.0)
        >>> len(cosine_histograms(path).axes)
        3
    """
    count = min(6, len(path))
    chosen = (
        np.unique(np.linspace(0, len(path) - 1, count).round().astype(int)) if depths is None else np.asarray(depths)
    )
    drawing = sheet(12.0, 1.2 + 2.6 * math.ceil(len(chosen) / 3))
    axes = np.atleast_1d(drawing.subplots(math.ceil(len(chosen) / 3), min(len(chosen), 3), sharex=True, squeeze=False))
    for ax, k in zip(axes.flat, chosen, strict=False):
        values = np.asarray(mf.observe.cosines(path[int(k)]))
        ax.hist(values[np.isfinite(values)], bins=bins, range=(-1, 1), density=True, color=shades(2)[0])
        ax.set(title=f"depth {float(path.times[np.asarray(path.kept)[int(k)]]):g}", xlabel="cosine", ylabel="density")
    for ax in list(axes.flat)[len(chosen) :]:
        ax.set_visible(False)
    return drawing
