"""Series of files → Volume in Hounsfield units, in canonical axes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.dicom import geometry, tilt
from node.dicom.axes import canonical_axes
from node.dicom.geometry import SliceRef, StackGeometry
from node.dicom.hounsfield import mark_outside_circle, write_hu
from node.dicom.pixels import NATIVE, Frame, frames
from node.domain.instance import Series, StoredInstance
from node.domain.volume import SourceImage, Volume
from node.errors import ImageUndecodable, IrregularSeries

NATIVE_THREADS = 2
"""For uncompressed files, which are mostly copying under the interpreter's lock."""
MAX_THREADS = 8
"""For compressed files, whose decoders release it: one for each processor, up to this."""


def volume(series: Series) -> Volume:
    """Read all images of a series.

    Slices are ordered by position; HU by each image's own rescale; axes as ``Volume`` describes, by flipping and
    swapping only; a stack from a tilted gantry is resampled to an unsheared grid. Raises ``UnsuitableSeries``,
    ``IncompleteSeries``, ``IrregularSeries`` or ``ImageUndecodable``.
    """
    instances = series.instances
    stack = geometry.check([instance.header for instance in instances])
    _unambiguous(instances)
    axes = canonical_axes(stack)
    shape = axes.shape(len(stack.slices), stack.rows, stack.columns)
    hu = np.empty(shape, dtype=np.int16)
    _fill(axes.as_stored(hu), stack, instances)
    mark_outside_circle(hu)
    affine = axes.affine(stack)
    sources = tuple(_source(instances[group[0].instance], group[0].frame) for group in stack.slices)
    if stack.tilted:
        hu, affine, nearest = tilt.unsheared(hu, affine)
        sources = tuple(sources[k] for k in nearest)
    return Volume(hu, affine, stack.frame_of_reference_uid, sources)


def _unambiguous(instances: Sequence[StoredInstance]) -> None:
    """One SOP Instance UID must not stand for two different objects."""
    digests: dict[str, set[str]] = defaultdict(set)
    for instance in instances:
        digests[instance.header.sop_instance_uid].add(instance.digest)
    double = sum(len(found) > 1 for found in digests.values())
    if double:
        raise IrregularSeries(
            f"{double} SOP Instance UIDs arrived more than once with different content.", {"instances": double}
        )


def _fill(stored: NDArray[np.int16], stack: StackGeometry, instances: Sequence[StoredInstance]) -> None:
    """Decode every slice into ``stored`` (slices, rows, columns as in the files)."""
    native = all(instance.header.transfer_syntax_uid in NATIVE for instance in instances)
    threads = NATIVE_THREADS if native else max(1, min(MAX_THREADS, os.cpu_count() or 1))
    jobs = _jobs(stack, threads)
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        futures = [pool.submit(_fill_from, instances[i].path, wanted, stored) for i, wanted in jobs]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
    for k, group in enumerate(stack.slices):
        if len(group) > 1:
            _same_image(stored[k], group, instances)


def _jobs(stack: StackGeometry, threads: int) -> list[tuple[int, dict[int, int]]]:
    """(instance, {frame: slice}) for the first image of each position; large objects are shared out."""
    by_instance: dict[int, dict[int, int]] = defaultdict(dict)
    for k, group in enumerate(stack.slices):
        by_instance[group[0].instance][group[0].frame] = k
    jobs = []
    for index, wanted in by_instance.items():
        ordered = sorted(wanted.items())
        share = max(1, -(-len(ordered) // threads))
        jobs += [(index, dict(ordered[i : i + share])) for i in range(0, len(ordered), share)]
    return jobs


def _fill_from(path: Path, wanted: dict[int, int], stored: NDArray[np.int16]) -> None:
    for frame in frames(path, sorted(wanted)):
        _write(frame, stored[wanted[frame.index]])


def _write(frame: Frame, out: NDArray[np.int16]) -> None:
    decoded, stated = frame.stored.shape, out.shape
    if decoded != stated:
        raise ImageUndecodable(
            f"An image decodes to {decoded[0]} x {decoded[1]}, not {stated[0]} x {stated[1]}.",
            {"decoded": list(decoded), "stated": list(stated)},
        )
    write_hu(frame, out)


def _same_image(first: NDArray[np.int16], group: Iterable[SliceRef], instances: Sequence[StoredInstance]) -> None:
    """Images at one position are one image sent twice, or the series is ambiguous."""
    _, *others = group
    again = np.empty(first.shape, dtype=np.int16)
    for ref in others:
        for frame in frames(instances[ref.instance].path, [ref.frame]):
            _write(frame, again)
        if not np.array_equal(first, again):
            plane = instances[ref.instance].header.planes[ref.frame]
            z = plane.image_position_patient_mm[2]
            raise IrregularSeries(
                f"Two different images lie at the same position (z = {z:g} mm).",
                {"image_position_patient_mm": list(plane.image_position_patient_mm)},
            )


def _source(instance: StoredInstance, frame: int) -> SourceImage:
    header = instance.header
    multi_frame = header.number_of_frames > 1 or header.sop_class_uid != geometry.CT_IMAGE
    return SourceImage(header.sop_class_uid, header.sop_instance_uid, frame + 1 if multi_frame else None)
