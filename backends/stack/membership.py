"""Which of many integers are among others; `numpy.isin` would import numpy's masked arrays."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def among(values: npt.NDArray[np.integer], wanted: Ints | Collection[int]) -> npt.NDArray[np.bool_]:
    """For each value whether it is one of those that are wanted."""
    if not isinstance(wanted, np.ndarray):
        wanted = np.array(list(wanted), values.dtype)
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    ordered = np.sort(wanted)
    found = np.searchsorted(ordered, values)
    found[found == len(ordered)] = 0
    result: npt.NDArray[np.bool_] = ordered[found] == values
    return result
