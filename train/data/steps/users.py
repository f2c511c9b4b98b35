"""What is known of users beside their events."""

import json
from typing import Any

import numpy as np
import pandas as pd


def plain_users(users: pd.DataFrame) -> pd.DataFrame:
    """Return user_id and `traits`, a mapping as JSON; of several rows of one user the last counts.

    users: columns of USER_COLUMNS; without `traits`, nothing is known of anybody.
    """
    if "traits" not in users:
        users = users.assign(traits=pd.Series([{}] * len(users), users.index, dtype=object))
    kept = users.drop_duplicates("user_id", keep="last").reset_index(drop=True)
    texts = [json.dumps(told, default=_plain, ensure_ascii=False) for told in kept["traits"]]
    return pd.DataFrame({"user_id": kept["user_id"].astype("str"), "traits": pd.Series(texts, dtype="str")})


def _plain(value: Any) -> Any:
    """Return NumPy's arrays and numbers as JSON knows them, and times and the like as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
