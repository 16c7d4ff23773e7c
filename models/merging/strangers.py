"""A model without its users: what may be handed to others; and a model that takes its users back.

What is of a user (the rows of tables keyed by users, remembered examples, ids that wait) goes; what
all users made together (items, words, dense weights) stays. An item's row is of nobody in particular,
but it was learned from people: without noise (`recloop.silos.privacy`) nothing is promised of what can
be told from it.
"""

import numpy as np

from models.learning import memory
from models.tables.network import names_of
from models.tables.rows import append_rows, keep_rows, read
from models.tables.state import ModelState

OF_USERS = (memory.PREFIX, "waiting/", "seen_day/")
"""Beginnings of the names of extra arrays that tell what somebody did, or when."""


def forget_users(state: ModelState) -> None:
    """Removes every user's row, and all that was noted of events, in place. The next save is a whole
    one."""
    unknown = np.zeros(1, np.int64)
    by_row = state.extras_by_row()
    for name in names_of(state.network, "users"):
        keep_rows(state.network.tables[name], unknown)
        state.optimizer.keep_rows(name, unknown)
    for name in list(state.extra):
        if name.startswith(OF_USERS) or by_row.get(name) == "users":
            del state.extra[name]
    state.users.keep(np.zeros(0, np.int64))
    state.forget_origin()


def take_users_from(state: ModelState, other: ModelState) -> None:
    """Gives a model that knows no user those of another, with their rows and slots, in place.

    Raises:
        ValueError: the models are of different configurations, or optimizers, or there are users
            already.
    """
    if state.config != other.config or state.optimizer.kind != other.optimizer.kind:
        raise ValueError(
            "Users can be taken from a model of the same configuration and optimizer. Received: "
            f"{other.config} with {other.optimizer.kind}. Let the users be learned anew."
        )
    if len(state.users):
        raise ValueError(f"The model knows {len(state.users)} users already. Forget them first.")
    state.users.extend(other.users.keys)
    for name in names_of(state.network, "users"):
        rows = read(other.network.tables[name])[1:]
        append_rows(state.network.tables[name], rows)
        state.optimizer.extend(name, len(rows))
        for slot, variable in state.optimizer.slots.items():
            if slot.rsplit("/", 1)[0] == name:
                kept = read(variable)
                kept[1:] = read(other.optimizer.slots[slot])[1:]
                variable.assign(kept)
