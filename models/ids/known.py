"""The ids that a model knows, as every facade tells and changes them."""

from models.arrays import Int64Array, Items
from models.ids import expiry, growth
from models.ids.starts import Groups
from models.learning.recipes import NewIds
from models.state import ModelState


class KnowsIds:
    """What a facade says and does about the users and items of its state.

    Attributes:
        _state: the one with the vocabularies.
    """

    _state: ModelState

    @property
    def user_keys(self) -> Int64Array:
        """int64, the users known, in row order (row 1 first); read-only."""
        return self._state.users.keys

    @property
    def item_keys(self) -> Int64Array:
        """int64, the items known, in row order (row 1 first); read-only."""
        return self._state.items.keys

    def grow(
        self,
        user_keys: Int64Array,
        items: Items,
        new_ids: NewIds | None = None,
        counts: tuple[Int64Array, Int64Array] | None = None,
        cooccurrence: Groups | None = None,
        day: int = 0,
    ) -> tuple[int, int]:
        """Adds the users and items that are new; returns how many of each. See `growth.grow`."""
        return growth.grow(self._state, user_keys, items, new_ids, counts, cooccurrence, day)

    def note_seen(self, user_keys: Int64Array, item_keys: Int64Array, day: int) -> None:
        """Notes that these ids had an event on this day (since 1970-01-01)."""
        expiry.note_seen(self._state, user_keys, item_keys, day)

    def expire(self, before_day: int) -> tuple[int, int]:
        """Removes ids last seen before a day; returns how many users and items. See
        `models.ids.expiry`."""
        return expiry.expire(self._state, before_day)
