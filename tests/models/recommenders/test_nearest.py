"""The largest products through whole numbers are those of all, whatever the vectors are like."""

import numpy as np
import pytest

from models.recommenders import nearest as rooms
from models.recommenders.nearest import Nearest

RNG = np.random.default_rng(5)
M, D = 3000, 24


def isotropic() -> np.ndarray:
    return RNG.normal(size=(M, D))


def in_clusters() -> np.ndarray:
    return RNG.normal(size=(7, D))[RNG.integers(0, 7, M)] + 0.01 * RNG.normal(size=(M, D))


def of_very_unlike_columns() -> np.ndarray:
    return RNG.normal(size=(M, D)) * np.logspace(-4, 2, D)


def with_many_alike() -> np.ndarray:
    return np.repeat(RNG.normal(size=(M // 100, D)), 100, axis=0)


def of_nothing() -> np.ndarray:
    return np.zeros((M, D))


@pytest.mark.parametrize(
    "made", [isotropic, in_clusters, of_very_unlike_columns, with_many_alike, of_nothing]
)
@pytest.mark.parametrize("popularity", [0.0, 3.0])
@pytest.mark.parametrize("stretch", [M, M // 2])
def test_the_best_are_the_best(
    monkeypatch: pytest.MonkeyPatch, made, popularity: float, stretch: int
) -> None:
    monkeypatch.setattr(rooms, "STRETCH", stretch)
    monkeypatch.setattr(rooms, "BLOCK", 700)
    vectors = made().astype(np.float32)
    offsets = (popularity * RNG.exponential(size=M)).astype(np.float32)
    nearest = Nearest(vectors, offsets)
    for query in RNG.normal(size=(5, D)).astype(np.float32):
        exact = nearest.exact(query, np.arange(M))
        expected = (vectors.astype(np.float64) * query).sum(axis=1) + offsets
        assert exact == pytest.approx(expected, rel=1e-5, abs=1e-4)
        rough = nearest.rough(query, np.float32(0.5))
        assert (np.abs(rough.products - exact) <= rough.bound).all()
        powers = rough.products.astype(np.float64) / 0.5
        assert rough.log_sum == pytest.approx(np.logaddexp.reduce(powers), rel=1e-6, abs=1e-5)
        for count in (1, 20, M):
            edge = np.sort(exact)[-count]
            best = nearest.best(query, rough, count)
            assert best.tolist() == np.flatnonzero(exact >= edge).tolist()


def test_one_core_and_several_say_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "STRETCH", M // 7)
    vectors, offsets = isotropic().astype(np.float32), RNG.normal(size=M).astype(np.float32)
    query, temperature = RNG.normal(size=D).astype(np.float32), np.float32(0.3)
    said = []
    for cores in (1, 3, 16):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        rough = Nearest(vectors, offsets).rough(query, temperature)
        said.append((rough.products.tobytes(), rough.bound, rough.log_sum.tobytes()))
    assert said[0] == said[1] == said[2]


def test_what_is_hidden_leaves_its_place_to_the_next() -> None:
    nearest = Nearest(np.eye(4, dtype=np.float32), np.array([4, 3, 2, 1], np.float32))
    query = np.ones(4, np.float32)
    rough = nearest.rough(query, np.float32(1.0))
    assert nearest.best(query, rough, 2).tolist() == [0, 1]
    rough.products[0] = -np.inf
    assert nearest.best(query, rough, 2).tolist() == [1, 2]
    rough.products[:] = -np.inf
    assert nearest.best(query, rough, 2).tolist() == []
