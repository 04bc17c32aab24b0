"""What came of a run, counted from outside: what was acknowledged, what lies in the spool, what the archive holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom

from node.ledger import Ledger
from node.ledger.states import State
from tests.chaos.cheap import report_uid
from tests.chaos.scanner import SLICES

_PREDECESSORS = "PredecessorDocumentsSequence"


@dataclass
class Counts:
    """What was done, and what came of it."""

    seed: int = 0
    studies: int = 0
    kills: int = 0
    kills_while_starting: int = 0
    ended_by_itself: int = 0
    archive_stopped: int = 0
    archive_refusing: int = 0
    disk_filled: int = 0
    database_locked: int = 0
    associations: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    acknowledged_and_lost: int = 0
    eligible_series: int = 0
    current_reports: int = 0
    missing_reports: int = 0
    doubled_reports: int = 0
    incomplete_reports: int = 0
    replaced_reports: int = 0
    not_delivered: int = 0
    missing_images: int = 0
    seconds: float = 0.0

    def good(self) -> bool:
        """Whether nothing is lost, missing or doubled."""
        bad = (
            *(self.acknowledged_and_lost, self.missing_reports, self.doubled_reports),
            *(self.incomplete_reports, self.not_delivered, self.missing_images),
        )
        complete = self.acknowledged == self.studies * SLICES
        return not any(bad) and complete and self.eligible_series == self.current_reports == self.studies


def count(into: Counts, acknowledged: Mapping[str, Path], ledger: Ledger, held: Iterable[Mapping[str, Any]]) -> None:
    """Compare what senders were told, what the ledger and the spool say, and what the archive holds."""
    rows = ledger.status()
    paths = {uid: path for row in rows for uid, path in ledger.stored_at(row.series_key).items()}
    into.acknowledged = len(acknowledged)
    into.acknowledged_and_lost = sum(not _same(file, paths.get(uid)) for uid, file in acknowledged.items())
    into.not_delivered = sum(row.state is not State.DELIVERED for row in rows)
    current = {row.study_instance_uid: report_uid(row.job_id) for row in rows if row.job_id}
    into.eligible_series = len(current)
    reports: defaultdict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    images: set[str] = set()
    for tags in held:
        if tags.get("Modality") == "SR":
            reports[str(tags["StudyInstanceUID"])][str(tags["SOPInstanceUID"])] = tags
        else:
            images.add(str(tags["SOPInstanceUID"]))
    for study, uid in current.items():
        _judge(into, uid, reports[study], images)


def _judge(into: Counts, current: str, reports: Mapping[str, Mapping[str, Any]], images: set[str]) -> None:
    """The reports of one study: one that no other replaces, and it is the one the ledger calls current."""
    replaced = {str(item["SOPInstanceUID"]) for one in reports.values() for item in one.get(_PREDECESSORS) or ()}
    valid = reports.keys() - replaced
    into.replaced_reports += len(reports) - len(valid)
    into.doubled_reports += len(valid) > 1
    into.missing_reports += current not in valid
    if valid == {current}:
        into.current_reports += 1
        into.incomplete_reports += int(reports[current]["SeriesDescription"]) != SLICES
        into.missing_images += current.removesuffix(".2") + ".1" not in images


def _same(file: Path, kept: Path | None) -> bool:
    """Whether what is kept holds what was sent."""
    if kept is None or not kept.is_file():
        return False
    sent, stored = pydicom.dcmread(file), pydicom.dcmread(kept)
    return bool(sent == stored)
