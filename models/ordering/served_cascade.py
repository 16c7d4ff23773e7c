"""ServedCascade: a released cascade, asked in keys. Nothing to learn.

Neighbours: `models.ordering.cascade_serving` is the graph; `models.storage.served` does the same for
retrieval alone; `recloop.release.recommend` gives it a user's online features.
"""

import numpy as np

from models.arrays import Queries
from models.ordering.point_in_time import OWN_COLUMNS, OwnItems
from models.storage.served import Served


class ServedCascade(Served):
    """The cascade in a folder, loaded; it answers with both stages, from the queries' `own` and from
    the items' statistics that the release carries.

    Raises:
        RestoreError: there is no SavedModel of a cascade, or it is damaged.
    """

    signature = "top_k_of_own"

    def _more(self, queries: Queries) -> dict[str, np.ndarray]:
        own = queries.own if queries.own is not None else OwnItems.none(len(queries))
        owner = own.owners()
        place = np.arange(len(owner)) - own.offsets[owner]
        width = int(np.diff(own.offsets).max(initial=0))
        rows = np.zeros((len(queries), width), np.int64)
        values = np.zeros((len(queries), width, len(OWN_COLUMNS)), np.float32)
        rows[owner, place] = self._items.rows(own.item_keys)
        values[owner, place] = own.values
        return {"own_rows": rows, "own_values": values, "own_totals": own.totals}
