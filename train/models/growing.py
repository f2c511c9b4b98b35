"""A sparse matrix of sums that grows event by event, and is read as fast as one that was compressed for good."""

from typing import Self

import numpy as np

from train.models.ragged import places

SMALLEST = 8  # entries that a row has room for; full, it moves to where there is room for twice as many

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
        self._places: dict[int, dict[int, int]] = {}  # row → column → place; of rows that were written to

    @classmethod
    def of(cls, most: int, row: np.ndarray, column: np.ndarray, total: np.ndarray) -> Self:
        """Return the matrix of which `entries` told this."""
        self, length = cls(most), np.bincount(row, minlength=1)
        self._room = np.where(length, 2 ** np.ceil(np.log2(np.maximum(length, SMALLEST))).astype(np.int64), 0)
        self._start, self._length, self._end = np.cumsum(self._room) - self._room, length, int(self._room.sum())
        self._column, self._sum = np.zeros(self._end, np.int32), np.zeros(self._end)
        at = self._start[row] + places(length)[1]
        self._column[at], self._sum[at] = column, total
        return self

    def __len__(self) -> int:
        """How many entries there are."""
        return int(self._length.sum())

    def add(self, row: np.ndarray, column: np.ndarray, more: np.ndarray) -> None:
        """Add to some sums, (n,) each, to the same bits as one after the other."""
        self._widen(int(row.max(initial=-1)) + 1)
        begun, found, new = 0, list[int](), list[int]()
        for at, (one, other) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
            if (known := self._places.get(one)) is None:
                known = self._read(one)
            if (place := known.get(other)) is None:
                if len(known) == 2 * self.most:
                    self._write(row[begun:at], column[begun:at], more[begun:at], found, new)
                    begun, found, new = at, [], []
                    known = self._forget(one)
                place = known[other] = len(known)
                if not place & (place - 1) and place >= self._room[one]:  # rooms are powers of two
                    self._move(one, max(SMALLEST, 2 * place))
                new.append(at - begun)
            found.append(place)
        self._write(row[begun:], column[begun:], more[begun:], found, new)

    def entries_of(self, row: np.ndarray) -> Entries:
        """Return the entries of rows (m,), which may repeat: the position of each one's row, its column and its sum."""
        known = np.minimum(row, len(self._length) - 1)
        owner, place = places(np.where(known == row, self._length[known], 0))
        at = self._start[known[owner]] + place
        return owner, self._column[at].astype(np.int64), self._sum[at]

    def entries(self) -> Entries:
        """Return the row, the column and the sum of every entry, rows ascending."""
        rows = np.flatnonzero(self._length)
        owner, column, total = self.entries_of(rows)
        return rows[owner], column, total

    def copy(self) -> "GrowingMatrix":
        """Return a matrix that grows apart from this one."""
        return self.of(self.most, *self.entries())

    def _read(self, row: int) -> dict[int, int]:
        """Return where the columns of a row are, from now on kept."""
        known = self._places[row] = {}
        if length := int(self._length[row]):
            start = int(self._start[row])
            known |= zip(self._column[start : start + length].tolist(), range(length), strict=True)
        return known

    def _write(self, row: np.ndarray, column: np.ndarray, more: np.ndarray, found: list[int], new: list[int]) -> None:
        """Add to the sums at places of rows, of which those at positions `new` are not there yet."""
        place, added = np.array(found, np.int64), np.array(new, np.int64)
        at = self._start[row] + place
        self._column[at[added]], self._sum[at[added]] = column[added], 0.0
        np.maximum.at(self._length, row[added], place[added] + 1)
        np.add.at(self._sum, at, more)

    def _move(self, row: int, room: int) -> None:
        """Give a row room for so many entries."""
        if free := self._free.get(room):
            to = free.pop()
        else:
            to, self._end = self._end, self._end + room
            if self._end > len(self._sum):
                for array in (self._column, self._sum):
                    array.resize(2 * self._end, refcheck=False)  # where it lies, if the system can: nobody holds views
        if before := int(self._room[row]):
            start = int(self._start[row])
            for array in (self._column, self._sum):
                array[to : to + before] = array[start : start + before]
            self._free.setdefault(before, []).append(start)
        self._start[row], self._room[row] = to, room

    def _forget(self, row: int) -> dict[int, int]:
        """Keep the largest entries of a row, in their order."""
        start, end = int(self._start[row]), int(self._start[row] + self._length[row])
        column, total = self._column[start:end], self._sum[start:end]
        kept = np.sort(np.lexsort((column, -total))[: self.most])
        column[: len(kept)], total[: len(kept)] = column[kept], total[kept]
        self._length[row] = len(kept)
        return self._read(row)

    def _widen(self, n_rows: int) -> None:
        if (missing := n_rows - len(self._length)) > 0:
            spare = missing + len(self._length) // 8
            self._start, self._length, self._room = (
                np.pad(array, (0, spare)) for array in (self._start, self._length, self._room)
            )
