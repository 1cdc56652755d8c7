"""The Fréchet distance of Gaussians."""

import numpy as np
import pytest

from kinora.evaluation.frechet import frechet_distance


def gaussian(num: int, mean_F: np.ndarray, covariance_FF: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return items whose sample mean and covariance are exactly these."""
    raw_NF = np.random.default_rng(seed).normal(size=(num, len(mean_F)))
    raw_NF -= raw_NF.mean(axis=0)
    white_NF = raw_NF @ np.linalg.inv(np.linalg.cholesky(np.cov(raw_NF, rowvar=False))).T
    return white_NF @ np.linalg.cholesky(covariance_FF).T + mean_F


def test_it_is_the_closed_form_of_diagonal_gaussians():
    mean_F, other_F = np.array([1.0, -2, 0.5]), np.array([0.0, 1, 0.5])
    std_F, other_std_F = np.array([1.0, 2, 0.1]), np.array([3.0, 0.5, 0.1])
    a_NF = gaussian(500, mean_F, np.diag(std_F**2), 1)
    b_NF = gaussian(400, other_F, np.diag(other_std_F**2), 2)
    wanted = np.square(mean_F - other_F).sum() + np.square(std_F - other_std_F).sum()
    assert frechet_distance(a_NF, b_NF) == pytest.approx(wanted, rel=1e-10)


def test_it_is_the_closed_form_of_gaussians_in_any_direction():
    rng = np.random.default_rng(0)
    one_FF, other_FF = (each @ each.T + np.eye(6) for each in rng.normal(size=(2, 6, 6)))
    a_NF, b_NF = gaussian(300, np.zeros(6), one_FF, 1), gaussian(300, np.ones(6), other_FF, 2)
    values_F, axes_FF = np.linalg.eigh(one_FF)
    root_FF = axes_FF @ np.diag(np.sqrt(values_F)) @ axes_FF.T
    shared = np.sqrt(np.linalg.eigvalsh(root_FF @ other_FF @ root_FF)).sum()
    wanted = 6 + np.trace(one_FF) + np.trace(other_FF) - 2 * shared
    assert frechet_distance(a_NF, b_NF) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("num", "width"), [(40, 200), (200, 40), (20, 20)])
def test_a_set_has_no_distance_to_itself_and_it_is_symmetric(num, width):
    a_NF, b_NF = np.random.default_rng(0).normal(100, 30, size=(2, num, width))
    assert frechet_distance(a_NF, a_NF[::-1]) < 1e-6
    assert frechet_distance(a_NF, b_NF) == pytest.approx(frechet_distance(b_NF, a_NF), rel=1e-10)


def test_a_shift_adds_its_square_where_features_outnumber_items():
    a_NF = np.random.default_rng(0).normal(size=(20, 1000)).astype(np.float32)
    assert frechet_distance(a_NF, a_NF + 0.5) == pytest.approx(250, rel=1e-5)


def test_fewer_items_than_features_come_out_too_far():
    rng = np.random.default_rng(0)
    few, many = (frechet_distance(rng.normal(size=(n, 64)), rng.normal(size=(n, 64))) for n in (32, 4096))
    assert few > 10 * many


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), "equal width"),
        (np.zeros((1, 3)), np.zeros((4, 3)), "needs two or more"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "finite"),
    ],
)
def test_other_sets_are_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        frechet_distance(a, b)
