"""What the papers' own scripts do, normalised Euler steps, and how their results are laid over a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.paths.style import MUTED

__all__ = ["normalised_steps", "overlay", "rings"]

#: how the published variant looks in every figure: thin, grey and dashed
DASHES = (0, (4, 2.5))
#: a step that moves no coordinate by more has only rounded
STANDS = 1e-15


def normalised_steps(
    points: Any,
    step: float,
    counts: int | Sequence[int] | np.ndarray,
    *,
    form: Any = 1.0,
    value: Any = 1.0,
    softmax: bool = True,
) -> Float[np.ndarray, "... n d"]:
    r"""Return clouds after normalised Euler steps, the first-order scheme of most published scripts.

    $$ x_i \leftarrow N\Bigl(x_i + h \sum_j A_{ij} V^T x_j\Bigr), \qquad A_{ij} = e^{\langle x_i, B x_j\rangle} / Z_i $$

    with $Z_i$ the row's sum, or n without softmax. One step contracts by $1/(1 + h)$: the clock is slow by h/2. A cloud
    that a step moves by no more than rounding does is left where it is.

    Main arguments:
        points: `(..., n, d)`, any number of clouds at once. step: h. counts: a number of steps, or several in order;
            then the result has an axis of them in front.

    Other arguments:
        form: B, a number or `(..., d, d)`. value: V^T as it acts on rows, `x @ V`; a number or `(..., d, d)`.

    Example:
        >>> import numpy as np
        >>> ends = normalised_steps(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.1, [0, 400])
        >>> (ends[:, 0] @ ends[:, 1].T).diagonal().round(6).tolist()
        [0.0, 1.0]
    """
    shape, wanted = np.shape(points), np.atleast_1d(counts)
    x = np.array(points, float).reshape(-1, *shape[-2:])
    form, value = (one_for_each(matrix, shape) for matrix in (form, value))
    moving, states = np.arange(len(x)), []
    for done in range(int(wanted[-1]) + 1):
        states += [x.reshape(shape).copy()] * int((wanted == done).sum())
        if done == wanted[-1] or not len(moving):
            states += [x.reshape(shape)] * (len(wanted) - len(states))
            break
        before = x[moving]
        after = one_step(before, step, *(m if m.ndim == 0 else m[moving] for m in (form, value)), softmax=softmax)
        x[moving] = after
        moving = moving[np.abs(after - before).max(axis=(1, 2)) > STANDS]
    return np.stack(states) if np.ndim(counts) else states[-1]


def one_for_each(matrix: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a matrix for each cloud, or a number as it is."""
    matrix = np.asarray(matrix, float)
    return (
        matrix
        if matrix.ndim == 0
        else np.broadcast_to(matrix, (*shape[:-2], *matrix.shape[-2:])).reshape(-1, *matrix.shape[-2:])
    )


def one_step(x: np.ndarray, step: float, form: np.ndarray, value: np.ndarray, *, softmax: bool) -> np.ndarray:
    """Return clouds `(r, n, d)` after one normalised Euler step."""
    kernel = (form * x if form.ndim == 0 else x @ form) @ x.swapaxes(1, 2)
    if softmax:
        kernel -= kernel.max(axis=2, keepdims=True)
    np.exp(kernel, out=kernel)
    pulled = kernel @ (value * x if value.ndim == 0 else x @ value)
    pulled *= step / (kernel.sum(axis=2, keepdims=True) if softmax else x.shape[1])
    pulled += x
    pulled /= np.sqrt(np.einsum("rnd,rnd->rn", pulled, pulled))[..., None]
    return pulled


def overlay(axes: Any, *curve: Any, label: str | None = "published steps", **style: Any) -> None:
    """Draw curves of the published variant over a figure: thin, dashed and grey, one entry in the legend.

    The last coordinate of `curve` may have several columns, one for each curve.
    """
    lines = axes.plot(*curve, **{"ls": DASHES, "color": MUTED, "lw": 0.9, "zorder": 3, **style})
    if label is not None:
        lines[0].set_label(label)


def rings(axes: Any, *points: Any, label: str | None = "published steps", size: float = 90.0, **style: Any) -> None:
    """Draw tokens of the published variant as thin dashed rings around where ours are."""
    look = {"facecolors": "none", "edgecolors": MUTED, "linewidths": 0.9, "linestyles": [(0, (3, 1.5))], "zorder": 4}
    axes.scatter(*points, s=size, label=label, **{**look, **style})
