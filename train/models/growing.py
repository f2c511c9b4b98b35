"""A sparse matrix of sums that grows event by event, and is read as fast as one that was compressed for good."""

from typing import Self

import numpy as np

from train.models.ragged import pairs, places

SMALLEST = 4  # entries that a row has room for; full, it moves to where there is room for twice as many

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


class GrowingMatrix:
    """Sums under pairs of a row and a column; each row lies in one piece, in the order in which its entries came.

    A row that would hold more than 2 · `most` entries forgets all but the `most` largest first, the smaller column
    among equals. So neither its memory nor what it takes to read it grows with all that ever happened, and what is
    forgotten is what came once among much that came again and again.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._start, self._length, self._room = (np.zeros(1, np.int64) for _ in range(3))  # of each row
        self._column, self._sum = np.zeros(0, np.int32), np.zeros(0)  # of each entry
        self._end = 0  # of all rows
        self._free: dict[int, list[int]] = {}  # room → where rows were that moved

    @classmethod
    def of(cls, most: int, row: np.ndarray, column: np.ndarray, total: np.ndarray) -> Self:
        """Return the matrix of which `entries` told this."""
        self, length = cls(most), np.bincount(row, minlength=1)
        self._length, self._room = length, np.where(length, _room_for(length), 0)
        self._start, self._end = np.cumsum(self._room) - self._room, int(self._room.sum())
        self._column, self._sum = np.zeros(self._end, np.int32), np.zeros(self._end)
        at = self._start[row] + places(length)[1]
        self._column[at], self._sum[at] = column, total
        return self

    def copy(self) -> "GrowingMatrix":
        """Return a matrix that grows apart from this one."""
        return self.of(self.most, *self.entries())

    def __len__(self) -> int:
        """How many entries there are."""
        return int(self._length.sum())

    def entries(self) -> Entries:
        """Return the row, the column and the sum of every entry, rows ascending."""
        rows = np.flatnonzero(self._length)
        owner, column, total = self.entries_of(rows)
        return rows[owner], column, total

    def entries_of(self, row: np.ndarray) -> Entries:
        """Return the entries of rows (m,), which may repeat: the position of each one's row, its column and its sum."""
        known = np.minimum(row, len(self._length) - 1)
        owner, place = places(np.where(known == row, self._length[known], 0))
        at = self._start[known[owner]] + place
        return owner, self._column[at].astype(np.int64), self._sum[at]

    def add(self, row: np.ndarray, column: np.ndarray, more: np.ndarray) -> None:
        """Add to some sums, (n,) each, to the same bits as one after the other."""
        self._widen(int(row.max(initial=-1)) + 1)
        _, begins, number = np.unique(pairs(row, column), return_index=True, return_inverse=True)
        rows, columns = row[begins], column[begins]
        place = self._places_of(rows, columns)
        new = np.flatnonzero(place < 0)
        new = new[np.lexsort((begins[new], rows[new]))]  # each row's in the order in which they came
        growing, n_new = np.unique(rows[new], return_counts=True)
        length = self._length[growing]
        if (is_full := length + n_new > 2 * self.most).any():  # rows know nothing of each other
            is_late = np.isin(row, growing[is_full])
            self.add(row[~is_late], column[~is_late], more[~is_late])
            for one in growing[is_full].tolist():
                self._add_in_turn(one, column[row == one], more[row == one])
            return
        place[new] = np.repeat(length, n_new) + places(n_new)[1]
        self._widen_rows(growing, length + n_new)
        self._length[growing] += n_new
        at = self._start[rows] + place
        self._column[at[new]], self._sum[at[new]] = columns[new], 0.0
        np.add.at(self._sum, at[number], more)

    def _add_in_turn(self, row: int, column: np.ndarray, more: np.ndarray) -> None:
        """Add to sums of a row that will have to forget some."""
        _, known, total = self.entries_of(np.array([row]))
        sums = dict(zip(known.tolist(), total.tolist(), strict=True))
        for one, weight in zip(column.tolist(), more.tolist(), strict=True):
            if one not in sums and len(sums) == 2 * self.most:
                kept = set(sorted(sums, key=lambda one: (-sums[one], one))[: self.most])
                sums = {one: total for one, total in sums.items() if one in kept}
            sums[one] = sums.get(one, 0.0) + weight
        self._widen_rows(np.array([row]), np.array([len(sums)]))
        own = slice(self._start[row], self._start[row] + len(sums))
        self._column[own], self._sum[own], self._length[row] = list(sums), list(sums.values()), len(sums)

    def _places_of(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return the place in its row of each pair (n,), -1 where there is none; rows are short enough to be read."""
        owner, place = places(self._length[row])
        here = np.flatnonzero(self._column[self._start[row][owner] + place] == column[owner])
        found = np.full(len(row), -1)
        found[owner[here]] = place[here]
        return found

    def _widen_rows(self, row: np.ndarray, length: np.ndarray) -> None:
        """Give distinct rows (m,) room for so many entries each."""
        moving = self._room[row] < length
        row, room = row[moving], _room_for(length[moving])
        if not len(row):
            return
        start, before = self._start[row], self._room[row]
        self._start[row], self._room[row] = self._found_room(room), room
        owner, place = places(self._length[row])
        for array in (self._column, self._sum):
            array[self._start[row][owner] + place] = array[start[owner] + place]
        for one, size in zip(start.tolist(), before.tolist(), strict=True):
            if size:
                self._free.setdefault(size, []).append(one)

    def _found_room(self, room: np.ndarray) -> list[int]:
        """Return where there is so much room each."""
        found = []
        for size in room.tolist():
            if free := self._free.get(size):
                found.append(free.pop())
            else:
                found.append(self._end)
                self._end += size
        if self._end > len(self._sum):
            for array in (self._column, self._sum):
                array.resize(2 * self._end, refcheck=False)  # where it lies, if the system can: nobody holds views
        return found

    def _widen(self, n_rows: int) -> None:
        if (missing := n_rows - len(self._length)) > 0:
            spare = missing + len(self._length) // 8
            self._start, self._length, self._room = (
                np.pad(array, (0, spare)) for array in (self._start, self._length, self._room)
            )


def _room_for(length: np.ndarray) -> np.ndarray:
    """Return the least power of two that holds each length, SMALLEST or more."""
    return 2 ** np.ceil(np.log2(np.maximum(length, SMALLEST))).astype(np.int64)
