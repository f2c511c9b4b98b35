"""Moments: the hour of the week, as calendars count it."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.data.told import HOURS, moments_of

TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(TIMES)
def test_a_moment_is_the_weekday_and_the_hour_of_the_calendar(time: datetime) -> None:
    moment = int(moments_of(np.array([int(time.timestamp() * 1_000)]))[0])
    assert divmod(moment, HOURS) == (time.weekday(), time.hour)
