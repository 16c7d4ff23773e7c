"""Days of the shop's zone, for arrays of moments."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt

from recloop.calendar import EPOCH, WindowCalendar

Times = npt.NDArray[np.datetime64]


def day_numbers(times: Times, calendar: WindowCalendar) -> npt.NDArray[np.int64]:
    """int64 [N], the days of moments (datetime64 [N], UTC) in the zone, counted from 1970-01-01."""
    import pandas as pd

    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(calendar.zone.key)
    whole = local.tz_localize(None).to_numpy("datetime64[us]").astype("datetime64[D]")
    return np.asarray(whole.astype(np.int64))


def midnights(days: npt.NDArray[np.int64], calendar: WindowCalendar) -> Times:
    """datetime64[us] [N], UTC: the first moment of each of these days."""
    distinct, place = np.unique(days, return_inverse=True)
    starts = [calendar.midnight(EPOCH + timedelta(days=int(day))) for day in distinct]
    naive = [start.replace(tzinfo=None) for start in starts]
    return np.array(naive, "datetime64[us]")[place]
