"""Figures that others have reported on data sets that are recognised by their size."""

BEAUTY, TOYS, SPORTS = (22_363, 12_101, 198_502), (19_412, 11_924, 167_597), (35_598, 18_357, 296_337)

Rows = dict[str, dict[str, float]]


def _row(recall: float, ndcg: float) -> dict[str, float]:
    return {"recall@10": recall, "ndcg@10": ndcg}


# Leave-one-out, full ranking, seen items left out. The first two were reported with S3-Rec (Zhou et al., 2020), the
# others in the table of eSASRec (Tikhonovich et al., 2025).
PUBLISHED: dict[tuple[int, int, int], Rows] = {
    BEAUTY: {
        "SASRec, BCE": _row(0.0605, 0.0318),
        "S3-Rec": _row(0.0647, 0.0327),
        "TIGER": _row(0.0648, 0.0384),
        "HSTU": _row(0.0704, 0.0389),
        "ActionPiece": _row(0.0775, 0.0424),
        "eSASRec": _row(0.0928, 0.0523),
        "SASRec, sampled softmax": _row(0.0921, 0.0531),
    },
    TOYS: {"best of eSASRec's table": _row(0.0970, 0.0580)},
    SPORTS: {"best of eSASRec's table": _row(0.0569, 0.0323)},
}


def published(users: int, items: int, events: int) -> Rows:
    """Return what was reported on the data set of just this size, or nothing."""
    return PUBLISHED.get((users, items, events), {})
