"""Doubles to amounts: int64 in units of 1/10,000, cut as the engine cuts them, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST = 9.2e14  # the largest number that has an amount
SMALL = 1e-7  # what rounding leaves behind: below it a number is no amount of its own


class Cut:
    """Cuts doubles to amounts. `kind` is "offer", "task", "cap" or "share"."""

    def __call__(self, values: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.int64]:
        """Values that are in range (NaN: absent, 0)."""
        return _cut(values, kind)

    def columns(self, columns: list[npt.NDArray[np.float64]], kind: str) -> npt.NDArray[np.int64] | None:
        """Columns of one length, at least one: [columns][count]; None where a value is absent or out of range."""
        laid = np.stack(columns)
        if laid.size and not (laid.min() >= -SMALL and laid.max() <= LARGEST):  # a NaN is in no range
            return None
        return _cut(laid.reshape(-1), kind).reshape(laid.shape)


def _cut(values: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.int64]:
    f = np.where(np.isnan(values) | (values <= 0.0), 0.0, values)
    if kind == "share":
        f = np.minimum(f, 1.0)
    whole = np.rint(f)
    q = f * 10000.0
    near = np.rint(q)
    units = np.where(np.abs(q - near) <= np.maximum(0.001, q * 2.0**-50), near, np.floor(q)).astype(np.int64)
    units = np.where(whole == f, whole.astype(np.int64) * 10000, units)
    if kind == "task":
        units = np.where(f > SMALL, np.maximum(units, 1), units)
    return np.ascontiguousarray(units, dtype=np.int64)


cut = Cut()
