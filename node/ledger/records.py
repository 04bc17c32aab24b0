"""What the ledger hands out: frozen rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.domain.decision import Decision
from node.domain.instance import InstanceHeader, Series
from node.domain.job import MeasureJob
from node.ledger.states import DeliveryState, JobState, State


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that lies on disk, synced, and is to be recorded."""

    path: Path
    digest: str
    size_bytes: int
    header: InstanceHeader
    sender: str | None
    """Calling AE title."""
    sender_host: str | None


class Recorded(StrEnum):
    """What an arrival turned out to be."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """The same bytes under the same SOP Instance UID: recorded before."""
    VARIANT = "variant"
    """Other bytes under a known SOP Instance UID: kept beside, not measured."""


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """A series of a quiet study, with the instances that may be measured."""

    key: str
    state: State
    job_id: str | None
    instance_set: str
    instance_ids: tuple[int, ...]
    series: Series
    settled: bool
    """A measurement of exactly these instances is under way or done: no decision changes that."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as it stood when it was read; a decision about it is void when ``revision`` has moved on."""

    key: str
    revision: int
    series: tuple[SeriesRecord, ...]


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A measurement to be done, and where its objects go."""

    job_id: str
    job: MeasureJob
    destinations: tuple[str, ...]
    priority: int = 0
    """Higher is measured sooner."""
    shadow: bool = False
    """Measured and kept; nothing is sent until it is released."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision about one series, with its job where it is to be measured."""

    record: SeriesRecord
    decision: Decision
    planned: PlannedJob | None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A measurement that has been started."""

    job_id: str
    series_key: str
    state: JobState
    starts: int
    """How often it has been started since it was planned, this time included."""
    start: int
    """Which start this is, among all there will be: the outcome has to name it."""


@dataclass(frozen=True, slots=True)
class OutgoingDelivery:
    """One object that a destination has not accepted yet."""

    sop_instance_uid: str
    sop_class_uid: str
    path: Path
    order: int
    state: DeliveryState
    attempts: int
    refusals: int
    created_at: float
    next_attempt_at: float
    series_instance_uid: str | None = None
    """Of the object itself."""
    stored_at: float | None = None
    proof_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one destination has still to be given of one job, smallest ``order`` first."""

    job_id: str
    series_key: str
    destination: str
    objects: tuple[OutgoingDelivery, ...]
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt at one object ended."""

    state: DeliveryState
    status: int | None
    """DIMSE status, when the destination answered."""
    error: str | None
    next_attempt_at: float | None
    """``None``: no further attempt."""
    prove_at: float | None = None
    """When the destination is to be asked whether it holds what it accepted; ``None``: never."""


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How far one series is delivered to one destination."""

    destination: str
    stored: int
    total: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: float | None
    warned: int = 0
    """Of those stored, how many with a warning status."""
    proven: int = 0
    """Of those stored, how many the destination confirmed later."""
    proof: str | None = None
    """``wanted`` while it is outstanding, ``unproven`` when it was given up, ``proven``; ``None``: not asked for."""
    waits: str | None = None
    """Why nothing is being sent there: ``held``, ``stranded`` (no longer configured); ``None``: it is."""


@dataclass(frozen=True, slots=True)
class SeriesStatus:
    """One line of ``status``: a series and what became of it."""

    series_key: str
    study_instance_uid: str
    series_instance_uid: str
    sender: str | None
    modality: str | None
    description: str | None
    instances: int
    last_received_at: float
    state: State
    reason: str
    message: str
    state_since: float
    rule: str | None
    job_id: str | None
    deliveries: tuple[DestinationStatus, ...]
    variants: int = 0
    """Objects that came under a known SOP Instance UID with other bytes: kept beside, not measured."""
    replaces: str | None = None
    """The job whose report the current one replaces."""
    held: str | None = None
    """Who keeps its results back, and why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only history."""

    at: float
    series_key: str | None
    kind: str
    detail: dict[str, object]
