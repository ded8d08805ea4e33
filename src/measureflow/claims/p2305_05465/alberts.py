"""The figure of arXiv:2305.05465 on a trained model: eigenvalues of the value matrices of an ALBERT's heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.alberts import albert_of_figures
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.paths.style import ACCENT, FAINT, THEORY, caption
from measureflow.paths.style import figure as sheet


@figure("2305.05465", "ALBERT", title="eigenvalues of the values of trained heads")
def eigenvalues_of_trained_heads(case: Case) -> Any:
    """Spectra of V_h, values times output, for every head of ALBERT xlarge v2: 16 heads, 128 eigenvalues each.

    A head whose eigenvalue of largest modulus is real, simple and positive (a ring) has a value matrix of the theorem
    on three hyperplanes; its form <Q phi, K phi> must be positive too (in the title). The model is that of
    `MEASUREFLOW_ALBERT`, else the published one where it is found, else a network of its shape before training. At tier
    smoke a small random network.
    """
    model, said = albert_of_figures(case)
    attention = model.blocks[0].attention
    query, key, value = (np.asarray(one.weight, float) for one in (attention.query, attention.key, attention.value))
    output = np.moveaxis(np.asarray(attention.join.weight, float), 1, 0)
    h, k, d = query.shape
    whole = [one.reshape(h * k, d) for one in (query, key, value)]
    joins = np.concatenate(list(output), axis=1)
    found = theory.spectra_of_heads(whole[0], whole[1], whole[2], joins, heads=h).value
    columns = min(h, 4)
    drawing = sheet(3.1 * columns, 2.9 * -(-h // columns) + 0.5)
    axes = drawing.subplots(-(-h // columns), columns, sharex=True, sharey=True, squeeze=False)
    size = 1.06 * float(np.abs(found).max())
    for head, (ax, roots) in enumerate(zip(axes.flat, found, strict=True)):
        ax.axhline(0.0, color=FAINT, lw=0.8, zorder=0)
        ax.axvline(0.0, color=FAINT, lw=0.8, zorder=0)
        ax.plot(roots.real, roots.imag, "o", ms=3, color=ACCENT[0], alpha=0.7)
        top = roots[np.abs(roots).argmax()]
        good, sign = bool(abs(top.imag) < 1e-9 * abs(top) and top.real > 0), ""
        if good:
            ax.plot(top.real, 0.0, "o", ms=10, mfc="none", color=THEORY)
            # an eigenvector of O W_V from the smaller product W_V O
            values, vectors = np.linalg.eig(value[head] @ output[head])
            phi = output[head] @ np.real(vectors[:, np.abs(values).argmax()])
            sees = (query[head] @ phi) @ (key[head] @ phi)
            sign = rf", $\langle Q\varphi, K\varphi\rangle {'>' if sees > 0 else '<'} 0$"
        ax.set_title(f"head {head + 1}{sign}", fontsize=10)
        ax.set(xlim=(-size, size), ylim=(-size, size), aspect="equal")
        ax.locator_params(nbins=4)
    for ax in axes[-1]:
        ax.set_xlabel(r"Re $\lambda$")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"Im $\lambda$")
    caption(drawing, f"arXiv:2305.05465, ALBERT ({case.tier}): {said}; {h} heads of width {k}, d = {d}")
    return drawing
