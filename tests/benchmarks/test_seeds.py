from __future__ import annotations

import pytest

from benchmarks.seeds import seeds_of
from recloop.errors import BadInput


def test_each_seed_is_taken_once_in_order() -> None:
    assert seeds_of(" 2, 0,2,10,") == [2, 0, 10]


@pytest.mark.parametrize("text", ["", " , ", "0,-1", "1.5", "zero", "\u00b2"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="`seeds` should be like 0,1,2"):
        seeds_of(text)
