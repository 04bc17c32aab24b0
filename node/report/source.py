"""The images that were measured: which of them a region lies on, and their headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.domain.instance import StoredInstance
from node.domain.volume import Mask, Volume
from node.errors import ReportInvalid
from node.report.identity import read_header
from node.report.outline import Raster, corners_lps_mm, outlines


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One image, or one frame of a multi-frame image."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    raster: Raster

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells it from all others."""
        return self.sop_instance_uid, self.frame_number


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A closed outline on one image: (n, 2) of (column, row), in the coordinates of SCOORD."""

    frame: SourceFrame
    outline: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """What it takes to refer to an object of the study, besides its own UID."""

    series_instance_uid: str
    sop_class_uid: str


@dataclass(slots=True)
class Source:
    """The measured series; headers are read when they are asked for, once."""

    instances: tuple[StoredInstance, ...]
    volume: Volume | None
    frames: tuple[SourceFrame, ...] = field(init=False)
    _by_uid: dict[str, StoredInstance] = field(init=False)
    _headers: dict[str, Dataset] = field(init=False, default_factory=dict)
    _normals: NDArray[np.float64] = field(init=False)
    _depths_mm: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        if not self.instances:
            raise ReportInvalid("a report needs the images it is about, and there are none")
        once = {item.header.sop_instance_uid: item for item in self.instances}
        self.instances = tuple(sorted(once.values(), key=_position))
        self._by_uid = once
        self.frames = _frames(self.instances, self.volume)
        self._normals = np.array([frame.raster.normal for frame in self.frames]).reshape(-1, 3)
        origins = np.array([frame.raster.origin_lps_mm for frame in self.frames]).reshape(-1, 3)
        self._depths_mm = np.einsum("fa,fa->f", self._normals, origins)

    def instance(self, sop_instance_uid: str) -> StoredInstance:
        """One of the images."""
        return self._by_uid[sop_instance_uid]

    def header(self, sop_instance_uid: str) -> Dataset:
        """The header of one image, text decoded."""
        if sop_instance_uid not in self._headers:
            self._headers[sop_instance_uid] = read_header(self.instance(sop_instance_uid).path)
        return self._headers[sop_instance_uid]

    def references(self) -> dict[str, Reference]:
        """How to refer to the images, by SOP Instance UID."""
        headers = (item.header for item in self.instances)
        return {one.sop_instance_uid: Reference(one.series_instance_uid, one.sop_class_uid) for one in headers}

    @property
    def representative(self) -> Dataset:
        """The header that stands for the series: of its middle image."""
        return self.header(self.representative_instance.header.sop_instance_uid)

    @property
    def representative_instance(self) -> StoredInstance:
        """The middle image of the stack."""
        return self.instances[len(self.instances) // 2]

    def regions(self, mask: Mask) -> tuple[Region, ...]:
        """Where a mask lies: its largest outline on every image it reaches, in the order of the images."""
        found = (self.region(frame, mask) for frame in self.frames_near(mask))
        return tuple(region for region in found if region is not None)

    def region(self, frame: SourceFrame, mask: Mask) -> Region | None:
        """The largest outline of a mask on one image."""
        loops = outlines(self.volume, mask, frame.raster) if self.volume is not None else ()
        return Region(frame, loops[0]) if loops else None

    def frames_near(self, mask: Mask) -> list[SourceFrame]:
        """The frames whose planes pass through the box around a mask."""
        if self.volume is None or not self.frames or not mask.voxels.any():
            return []
        across = corners_lps_mm(self.volume, mask) @ self._normals.T - self._depths_mm
        hit = (across.min(axis=0) <= 0) & (across.max(axis=0) >= 0)
        return [self.frames[index] for index in np.flatnonzero(hit)]


def _position(item: StoredInstance) -> tuple[float, str]:
    """Sort key: along the normal of the first frame, then by UID."""
    if not item.header.planes:
        return 0.0, item.header.sop_instance_uid
    plane = item.header.planes[0]
    orientation = plane.image_orientation_patient
    normal = np.cross(orientation[:3], orientation[3:])
    return float(normal @ plane.image_position_patient_mm), item.header.sop_instance_uid


def _frames(instances: tuple[StoredInstance, ...], volume: Volume | None) -> tuple[SourceFrame, ...]:
    """Every frame that the volume was made of; all frames when there is no volume."""
    used = None if volume is None else {(s.sop_instance_uid, s.frame_number) for s in volume.sources}
    frames = []
    for item in instances:
        header = item.header
        for number, plane in enumerate(header.planes, start=1):
            frame = number if header.number_of_frames > 1 or len(header.planes) > 1 else None
            wanted = (
                used is None or (header.sop_instance_uid, frame) in used or (header.sop_instance_uid, number) in used
            )
            if wanted and header.rows and header.columns:
                raster = Raster.of_plane(plane, header.rows, header.columns)
                frames.append(SourceFrame(item.path, header.sop_class_uid, header.sop_instance_uid, frame, raster))
    return tuple(frames)
