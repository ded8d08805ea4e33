from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import sph_harm_y

from measureflow.measures.grids import Circle, Meridian, Sphere2, associated_legendre, sides

GRIDS = [Circle(size=16, degree=7), Meridian(size=12, degree=11), Sphere2(size=10, around=20, degree=9)]
each_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: type(grid).__name__)


def modes_of(grid, seed: int = 0) -> np.ndarray:
    """Coefficients of a real function with all harmonics."""
    generator = np.random.default_rng(seed)
    modes = generator.normal(size=grid.degrees.shape) * (grid.multiplicity > 0)
    if isinstance(grid, Meridian):
        return modes
    modes = modes + 1j * generator.normal(size=modes.shape) * (grid.multiplicity > 0)
    modes[..., 0] = np.real(modes[..., 0])
    return modes


def axis_of(grid) -> jnp.ndarray:
    return jnp.asarray([0.6, 0.8] if isinstance(grid, Circle) else [0.36, 0.48, -0.8])


@each_grid
def test_harmonics_are_orthonormal_under_the_uniform_probability(grid):
    modes = modes_of(grid)
    values = grid.synthesise(jnp.asarray(modes))
    np.testing.assert_allclose(grid.analyse(values), modes, atol=2e-14)
    mean_square = float((grid.weights * np.asarray(values) ** 2).sum())
    np.testing.assert_allclose(mean_square, (grid.multiplicity * np.abs(modes) ** 2).sum(), rtol=1e-14)
    np.testing.assert_allclose(grid.weights.sum(), 1.0, rtol=1e-14)


@each_grid
def test_divergence_of_the_slope_is_the_laplacian(grid):
    modes, d = jnp.asarray(modes_of(grid)), 2 if isinstance(grid, Circle) else 3
    fine = grid.finer(grid.product_size())
    laplacian = fine.divergence(fine.slopes(modes))
    np.testing.assert_allclose(laplacian, -grid.degrees * (grid.degrees + d - 2) * modes, atol=1e-11)
    assert complex(np.ravel(laplacian)[0]) == 0.0


@each_grid
def test_products_of_three_are_integrated_exactly(grid):
    f, g = (jnp.asarray(modes_of(grid, seed)) for seed in (1, 2))
    sizes = (grid.product_size(), 3 * grid.product_size())
    fluxes = [fine.synthesise(f) * fine.slopes(g) for fine in map(grid.finer, sizes)]
    here, there = (grid.finer(size).divergence(flux) for size, flux in zip(sizes, fluxes, strict=True))
    np.testing.assert_allclose(here, there, atol=1e-11 * float(jnp.abs(there).max()))


@each_grid
def test_frames_are_unit_tangents_along_which_a_function_rises_by_its_slope(grid):
    axis = axis_of(grid)
    points, frames = np.asarray(grid.points(axis)), np.asarray(grid.frames(axis))
    np.testing.assert_allclose((points**2).sum(-1), 1.0, atol=1e-14)
    np.testing.assert_allclose((frames * points).sum(-1), 0.0, atol=1e-14)
    np.testing.assert_allclose((frames**2).sum(-1), 1.0, atol=1e-14)
    # a linear function that suits the grid: about the axis on a meridian
    vector = np.asarray(axis) if isinstance(grid, Meridian) else np.array([0.3, -0.7, 0.2])[: len(axis)]
    modes = grid.analyse(jnp.asarray((points @ vector).reshape(grid.shape)))
    slopes = np.asarray(grid.slopes(modes)).reshape(len(frames), -1)
    np.testing.assert_allclose(slopes, frames @ vector, atol=1e-13)


def test_legendre_tables_are_those_of_scipy():
    z = np.array([-0.999, -0.3, 0.0, 0.5, 0.98])
    table = associated_legendre(z, 40)
    for deg, m in ((0, 0), (1, 0), (3, 2), (7, 7), (40, 0), (40, 13), (40, 39)):
        reference = np.real(sph_harm_y(deg, m, np.arccos(z), 0.0)) * np.sqrt(4 * np.pi) * (-1) ** m
        np.testing.assert_allclose(table[:, deg, m], reference, atol=1e-12 * (1 + np.abs(reference).max()))


@pytest.mark.parametrize("axis", [[0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0], [0.36, 0.48, 0.8]])
def test_sides_and_axis_are_a_right_handed_frame(axis):
    first, second = sides(jnp.asarray(axis))
    frame = np.stack([first, second, axis])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(frame) > 0
