"""Spectra of heads from the matrices of a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory


def test_spectra_are_those_of_the_large_matrices():
    query, key, value = np.random.default_rng(0).normal(size=(3, 6, 8))
    output = np.random.default_rng(1).normal(size=(8, 6))
    found = theory.spectra_of_heads(query, key, value, output, heads=3)
    for h in range(3):
        own = slice(2 * h, 2 * h + 2)
        whole = np.linalg.eigvals(output[:, own] @ value[own])
        largest = whole[np.argsort(-np.abs(whole))][:2]
        np.testing.assert_allclose(np.sort_complex(found.value[h]), np.sort_complex(largest), rtol=1e-10)
        form = query[own].T @ key[own] / np.sqrt(2)
        np.testing.assert_allclose(found.form[h], np.linalg.eigvalsh((form + form.T) / 2), atol=1e-12)


def test_what_does_not_fit_is_refused():
    four = np.eye(4)
    with pytest.raises(mf.BadInput, match=r"heads is 3; 4 rows are shared"):
        theory.spectra_of_heads(four, four, four, four, heads=3)
    with pytest.raises(mf.BadInput, match=r"output \(3, 4\); query, key and value are \(rows, d\)"):
        theory.spectra_of_heads(four, four, four, four[:3], heads=2)
