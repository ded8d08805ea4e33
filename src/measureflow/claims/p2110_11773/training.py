"""One layer of attention, trained to classify sets of tokens: the model, its training, what is looked at on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import measureflow as mf
from measureflow.fields import Weighting

__all__ = ["Classifier", "Data", "Recipe", "Trained", "digits", "point_sets", "train"]

#: images and sets whose attention is looked at after every epoch
LOOKED_AT = 64


class Data(NamedTuple):
    """Sets of tokens with a class each; `ordered` says whether a token's place among them means anything."""

    train: Float[np.ndarray, "N n p"]
    train_labels: Int[np.ndarray, "N"]
    test: Float[np.ndarray, "M n p"]
    test_labels: Int[np.ndarray, "M"]
    classes: int
    ordered: bool


class Recipe(NamedTuple):
    """How a model is trained: its width, epochs, sets of a batch, the rate of Adam."""

    width: int = 16
    epochs: int = 3
    batch: int = 32
    rate: float = 3e-3


class Classifier(eqx.Module):
    """Tokens are embedded, attend to each other once with a residual, and are averaged; a linear map reads the class.

    There is no perceptron and no norm: attention is all that lets a token know of another.
    """

    embed: Float[Array, "d p"]
    shift: Float[Array, "d"]
    places: Float[Array, "n d"]
    query: Float[Array, "d d"]
    key: Float[Array, "d d"]
    value: Float[Array, "d d"]
    read: Float[Array, "c d"]
    bias: Float[Array, "c"]

    @classmethod
    def drawn(cls, key: Array, n: int, p: int, classes: int, width: int) -> Classifier:
        """Return a model with normal weights of the usual sizes, for sets of n tokens of p numbers."""
        keys = jax.random.split(key, 6)

        def normal(key: Array, *shape: int) -> Array:
            return jax.random.normal(key, shape, jnp.float32) / np.float32(np.sqrt(shape[-1]))

        square = (width, width)
        maps = [normal(k, *square) for k in keys[1:4]]
        zero = jnp.zeros(width, jnp.float32), jnp.zeros(classes, jnp.float32)
        places, read = normal(keys[4], n, width), normal(keys[5], classes, width)
        return cls(normal(keys[0], width, p), zero[0], places, *maps, read, zero[1])

    def attention(self, weighting: Weighting) -> mf.SelfAttention:
        """Return the layer as a field."""
        beta = np.float32(1.0 / np.sqrt(self.query.shape[0]))
        return mf.SelfAttention(beta, query=self.query, key=self.key, value=self.value, weighting=weighting)

    def tokens(self, x: Float[Array, "n p"], ordered: Array) -> mf.Tokens:
        """Return a set as the tokens that attend; `ordered` is 1 where places count, else 0."""
        z = jnp.maximum(x @ self.embed.T + self.shift, 0) + ordered * self.places
        n, d = z.shape
        equal = mf.Tokens(mf.Euclidean(d), np.zeros((n, d), np.float32))
        return equal.replace(points=z)

    def logits(self, x: Float[Array, "n p"], ordered: Array, weighting: Weighting) -> Float[Array, "c"]:
        """Return the scores of the classes."""
        mu = self.tokens(x, ordered)
        moved = mu.points + self.attention(weighting).output(mu.points, mu)
        # what is read is not linear in the mean, which doubly stochastic attention does not mix
        return self.read @ jnp.mean(jnp.maximum(moved, 0), axis=0) + self.bias


class Trained(NamedTuple):
    """What training left, one row for each seed: accuracy on the test sets, and column sums of the attention matrix.

    Epoch 0 is before the first step.
    """

    accuracy: Float[np.ndarray, "seeds epochs"]
    columns: Float[np.ndarray, "seeds epochs sets n"]


def train(data: Data, weighting: Weighting, recipe: Recipe, seeds: Int[np.ndarray, "seeds"]) -> Trained:
    """Train one model for each seed, all at once, and look at it before the first epoch and after each."""
    found = trained(
        *(jnp.asarray(part) for part in data[:4]),
        jnp.asarray(np.float32(data.ordered)),
        jnp.asarray(seeds),
        data.classes,
        weighting,
        recipe,
    )
    return Trained(*map(np.asarray, found))


@eqx.filter_jit
def trained(
    x: Array,
    labels: Array,
    test: Array,
    test_labels: Array,
    ordered: Array,
    seeds: Array,
    classes: int,
    weighting: Weighting,
    recipe: Recipe,
) -> tuple[Array, Array]:
    """Return accuracies and column sums, in one program for all seeds and epochs."""
    import optax  # heavy, and used here alone

    optimiser, batches = optax.adam(recipe.rate), x.shape[0] // recipe.batch

    def scores(model: Classifier, sets: Array) -> Array:
        return jax.vmap(lambda one: model.logits(one, ordered, weighting))(sets)

    def loss(model: Classifier, sets: Array, answers: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(scores(model, sets), answers).mean()

    def look(model: Classifier) -> tuple[Array, Array]:
        right = jnp.mean(jnp.argmax(scores(model, test), axis=-1) == test_labels)

        def sums(one: Array) -> Array:
            mu = model.tokens(one, ordered)
            return mf.observe.column_sums(mu, model.attention(weighting))

        return right, jax.lax.map(sums, test[:LOOKED_AT])

    def step(state: Any, batch: Array) -> tuple[Any, None]:
        model, memory = state
        slope = jax.grad(loss)(model, x[batch], labels[batch])
        change, memory = optimiser.update(slope, memory, model)
        return (optax.apply_updates(model, change), memory), None

    def one(seed: Array) -> tuple[Array, Array]:
        key = jax.random.key(seed)
        model = Classifier.drawn(key, *x.shape[1:], classes, recipe.width)

        def epoch(state: Any, k: Array) -> tuple[Any, tuple[Array, Array]]:
            order = jax.random.permutation(jax.random.fold_in(key, k), x.shape[0])
            order = order[: batches * recipe.batch].reshape(batches, recipe.batch)
            seen = look(state[0])
            # the last turn only looks
            state = jax.lax.cond(k < recipe.epochs, lambda s: jax.lax.scan(step, s, order)[0], lambda s: s, state)
            return state, seen

        return jax.lax.scan(epoch, (model, optimiser.init(model)), jnp.arange(recipe.epochs + 1))[1]

    return jax.lax.map(one, seeds)


def digits(rng: np.random.Generator, sizes: tuple[int, int]) -> Data:
    """Return scikit-learn's 8 x 8 digits, each as 16 tokens: the patches of 2 x 2 pixels.

    Raises:
        BadInput: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise mf.BadInput("the digits come with scikit-learn: pip install 'measureflow[tasks]'.") from None
    images, labels = load_digits(return_X_y=True)
    patches = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4) / 8.0 - 1.0
    return split(patches, labels, rng, sizes, classes=10, ordered=True)


def point_sets(rng: np.random.Generator, sizes: tuple[int, int], n: int = 16) -> Data:
    """Return sets of n points of the plane, turned, scaled, with noise, from one of four shapes.

    Each is standardised, so that mean and spread say nothing of the class; a coordinate pair is padded by zeros.
    """
    total = sum(sizes)
    labels = rng.integers(4, size=total)
    points = np.stack([SHAPES[label](rng, n) for label in labels])
    angle = rng.uniform(0, 2 * np.pi, total)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    points = points @ turn + 0.15 * rng.normal(size=points.shape)
    points = points - points.mean(axis=1, keepdims=True)
    points = points / np.sqrt((points**2).sum(axis=2).mean(axis=1))[:, None, None]
    padded = np.concatenate([points, np.zeros_like(points)], axis=2)
    return split(padded, labels, rng, sizes, classes=10, ordered=False)


def split(
    x: np.ndarray, labels: np.ndarray, rng: np.random.Generator, sizes: tuple[int, int], *, classes: int, ordered: bool
) -> Data:
    """Return training and test sets, drawn without replacement."""
    order = rng.permutation(len(x))
    first, second = np.split(order[: sum(sizes)], [sizes[0]])
    x, labels = x.astype(np.float32), labels.astype(np.int32)
    return Data(x[first], labels[first], x[second], labels[second], classes, ordered)


def ring(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return points of a circle."""
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def blob(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return points of a normal law."""
    return rng.normal(size=(n, 2)) / np.sqrt(2)


def pair(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return points of two small clouds."""
    return 0.25 * rng.normal(size=(n, 2)) + np.outer(rng.choice([-1.0, 1.0], n), [1.0, 0.0])


def cross(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return points of two segments that cross."""
    along = rng.uniform(-1.4, 1.4, n)
    return np.where(rng.random(n)[:, None] < 0.5, np.stack([along, 0 * along], 1), np.stack([0 * along, along], 1))


SHAPES: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (ring, blob, pair, cross)
