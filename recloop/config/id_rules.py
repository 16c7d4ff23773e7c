"""What makes two texts the id of one user, or of one item: [ids] of a dataset file.

Belongs here: the one function that brings an id into its usual form, and the texts that stand for
nobody. It is used wherever an id enters: lines of files and of tables, and a user who is asked for.
Keep out: judging ids (see `validation/row_rules.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pydantic import Field, field_validator

from recloop.config.toml_file import Section

NOBODY = (
    "nan", "-nan", "null", "(null)", "[null]", "<null>", "none", "(none)", "<none>", "nil", "<nil>",
    "na", "<na>", "n/a", "#n/a", "#n/a n/a", "#na", "n.a.", "nat", "undefined", "[object object]",
    "-", "--", "---", "?", "\\n", "#null!", "#ref!", "#value!", "#name?", "1.#ind", "-1.#ind", "1.#qnan",
    "-1.#qnan", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""What programs write where there is no id; the last is a tracker's for whom it must not track."""
LONGEST_INDEXED = 2_000
"""Bytes. A B-tree of PostgreSQL refuses entries of more than 2,704."""
EXACT = 2**53
"""Up to here a float64 holds every whole number."""

_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_WIDTHLESS = "\u00ad\u061c\u180e\u200b\u200e\u200f\ufeff" + "".join(
    map(chr, [*range(0x202A, 0x202F), *range(0x2060, 0x2070)])
)
_JOINERS = "\u200c\u200d"  # inside a word they have a meaning: Persian, Hindi, emoji
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters that show nothing
_CONTROLS = "".join(map(chr, [*range(0x21), *range(0x7F, 0xA0), 0x2028, 0x2029]))
_EDGES = _CONTROLS + _SPACES + _JOINERS + _BLANK
_INSIDE = str.maketrans(_SPACES, " " * len(_SPACES), _WIDTHLESS)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,15})\.0+")


class Ids(Section):
    """How texts become ids of users and items.

    White space around an id and characters without a width (zero-width space, byte order mark,
    direction marks, soft hyphen) are never part of it; a no-break space inside is a space.
    """

    whole_numbers: bool = True
    """Whether `12346.0` is `12346`, which is what a program that had a gap in the column makes of it.
    False: for ids such as the versions `1.0` and `1`. Only a whole number below 2^53, without leading
    zeros and with nothing but zeros behind its point, is meant: `007.0`, `1.50` and `1e5` stay."""
    nfc: bool = True
    """Whether é as one character and as e with an accent are the same (Unicode form NFC)."""
    nobody: tuple[str, ...] = NOBODY
    """Texts that stand for no id, in any case; a list given here takes the place of the usual one.
    Lines with one are `missing_user` or `missing_item`, as are those with an empty text."""
    longest: int = Field(default=512, ge=1, le=LONGEST_INDEXED)
    """Bytes of UTF-8 that an id may have; longer ones are `overlong_user` or `overlong_item`."""

    @field_validator("nobody")
    @classmethod
    def _normal(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text.strip().lower() for text in texts))

    def normal(self, text: str) -> str:
        """The usual form of one id; empty if nothing is left of it.

        >>> [Ids().normal(text) for text in ("12346.0", " u1\\ufeff ", "007.0", "NaN")]
        ['12346', 'u1', '007.0', 'NaN']
        """
        if not text.isascii():
            text = text.translate(_INSIDE)
            if self.nfc:
                text = unicodedata.normalize("NFC", text)
        text = text.strip(_EDGES)
        if self.whole_numbers and text.endswith("0"):
            found = _WHOLE.fullmatch(text)
            if found and int(found[1]) < EXACT:
                return "0" if found[1] == "0" else text[: text.index(".")]
        return text

    def normal_all(self, texts: Iterable[str]) -> list[str]:
        """`normal` of each text; work is done once for each distinct one."""
        known: dict[str, str] = {}
        return [known.get(text) or known.setdefault(text, self.normal(text)) for text in texts]

    @property
    def nobody_in_sql(self) -> list[str]:
        """`nobody` for a comparison with SQL's `lower(id)`, which may leave what is not ASCII alone."""
        forms = (
            form(t) for t in self.nobody for form in (str, str.upper, str.title, str.capitalize)
        )
        return sorted(set(forms))
