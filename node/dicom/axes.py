"""Which stored axis becomes which axis of a ``Volume``: flips and a swap, never interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.geometry import StackGeometry


@dataclass(frozen=True, slots=True)
class Axes:
    """Slices already run toward the head; rows and columns may have to be swapped, then flipped."""

    swap: bool
    """Rows of the volume are columns of the images (patient lying on a side)."""
    flip_j: bool
    flip_i: bool

    def shape(self, slices: int, rows: int, columns: int) -> tuple[int, int, int]:
        """Shape of the volume."""
        return (slices, columns, rows) if self.swap else (slices, rows, columns)

    def as_stored(self, hu: NDArray[np.int16]) -> NDArray[np.int16]:
        """A view of the volume's array in the order of the stored images."""
        view = hu[:, :: -1 if self.flip_j else 1, :: -1 if self.flip_i else 1]
        return view.transpose(0, 2, 1) if self.swap else view

    def affine(self, stack: StackGeometry) -> NDArray[np.float64]:
        """(4, 4): (k, j, i, 1) of the volume → LPS mm."""
        affine = stack.affine_lps_mm.copy()
        last_j, last_i = stack.rows - 1, stack.columns - 1
        if self.swap:
            affine[:, [1, 2]] = affine[:, [2, 1]]
            last_j, last_i = last_i, last_j
        for axis, flip, last in ((1, self.flip_j, last_j), (2, self.flip_i, last_i)):
            if flip:
                affine[:, 3] += last * affine[:, axis]
                affine[:, axis] *= -1
        return affine


def canonical_axes(stack: StackGeometry) -> Axes:
    """Axes that make j run toward the back (+y) and i toward the left (+x), each within 45 degrees."""
    down_rows, along_row = stack.affine_lps_mm[:3, 1], stack.affine_lps_mm[:3, 2]
    along_row, down_rows = along_row / np.linalg.norm(along_row), down_rows / np.linalg.norm(down_rows)
    swap = bool(abs(along_row[1]) + abs(down_rows[0]) > abs(along_row[0]) + abs(down_rows[1]))
    j, i = (along_row, down_rows) if swap else (down_rows, along_row)
    return Axes(swap=swap, flip_j=bool(j[1] < 0), flip_i=bool(i[0] < 0))
