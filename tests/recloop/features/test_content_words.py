"""Word ids are the same on every machine, or a model would read other words than it learnt."""

from __future__ import annotations

import hashlib

from recloop.features.daily import MAX_WORDS, word_ids


def test_ids_are_those_of_md5() -> None:
    # md5("red") begins with bda9643ac6601722, which is 13666564747831547682; % 4095 + 1 is 3043
    assert hashlib.md5(b"red").hexdigest().startswith("bda9643ac6601722")
    assert word_ids("RED") == [3043]


def test_case_order_and_repeats() -> None:
    red, mug = word_ids("red")[0], word_ids("mug")[0]
    assert word_ids("Red MUG, red!") == [red, mug]
    assert word_ids("mug red") == [mug, red]
    assert word_ids("") == []
    assert word_ids(" ,.- ") == []


def test_words_of_any_language_count() -> None:
    assert len(word_ids("Красная кружка STRASSE")) == 3
    assert word_ids("STRAẞE") == word_ids("strasse")


def test_ids_fit_the_embedding_and_the_row() -> None:
    ids = word_ids(" ".join(f"w{n}" for n in range(5000)))
    assert len(ids) == MAX_WORDS == 16
    every = [word_ids(f"w{n}")[0] for n in range(5000)]
    assert min(every) >= 1
    assert max(every) <= 4095
    assert len(set(every)) > 2800, "spread over the buckets: 1 - 1/e**(5000/4095) of 4095 is 2887"
