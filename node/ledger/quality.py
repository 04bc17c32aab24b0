"""The scanners' record: what QA scans and patients' scans say of them, and what physicists did about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from node.domain.quality import CrossCalibration, QualityRecord, RecordedScan, Resolution, ScanRecord
from node.errors import NodeError
from node.ledger import codec, history, schema

_SUPERSEDED = "a fuller set of images of this series was measured later"


@dataclass(frozen=True, slots=True)
class NewResolution:
    """A resolution about to be recorded."""

    scanner: str
    resolved_on: date
    new_baseline: bool
    by: str
    note: str


def record_of_series(
    connection: sa.Connection, at: float, series_key: str, instance_set: str, record: ScanRecord
) -> int:
    """Add the line of a series that arrived over the network; returns its id."""
    table = schema.series
    uid = connection.execute(
        sa.select(table.c.series_instance_uid).where(table.c.series_key == series_key)
    ).scalar_one()
    return add(connection, at, uid, instance_set, record, series_key)


def add(
    connection: sa.Connection,
    at: float,
    series_instance_uid: str,
    instance_set: str,
    record: ScanRecord,
    series_key: str | None = None,
) -> int:
    """Add one line, or bring the one of the same series and instances up to date; returns its id.

    A fuller set of instances of the same series takes the place of an earlier one, which stays and does not count.
    """
    table, document = schema.quality_scans, codec.dump_scan(record)
    of_series = table.c.series_instance_uid == series_instance_uid
    known = connection.execute(
        sa.select(table.c.id, table.c.document).where(of_series, table.c.instance_set == instance_set)
    ).first()
    if known is not None:
        if known.document != document:
            connection.execute(
                table.update()
                .where(table.c.id == known.id)
                .values(document=document, scanner=record.key.scanner, kind=record.kind)
            )
            history.note(connection, at, series_key, "quality-measured-again", scan=known.id, before=known.document)
        return int(known.id)
    connection.execute(table.update().where(of_series, table.c.excluded.is_(None)).values(excluded=_SUPERSEDED))
    inserted = connection.execute(
        table.insert().values(
            series_instance_uid=series_instance_uid,
            instance_set=instance_set,
            recorded_at=at,
            scanner=record.key.scanner,
            kind=record.kind,
            document=document,
        )
    )
    (scan,) = inserted.inserted_primary_key or (0,)
    history.note(connection, at, series_key, "quality-recorded", scan=scan, of=record.kind, scanner=record.key.scanner)
    return int(scan)


def exclude(connection: sa.Connection, at: float, scan: int, why: str | None) -> None:
    """Say why a line does not count, or with ``None`` that it does. Raises ``NodeError`` for an unknown one."""
    table = schema.quality_scans
    changed = connection.execute(table.update().where(table.c.id == scan).values(excluded=why))
    if not changed.rowcount:
        raise NodeError(f"There is no scan {scan} in the record.")
    history.note(connection, at, None, "quality-excluded" if why else "quality-included", scan=scan, why=why)


def resolve(connection: sa.Connection, at: float, new: NewResolution) -> int:
    """Resolve every alarm of a scanner so far; returns the resolution's id."""
    scans, table = schema.quality_scans, schema.quality_resolutions
    last = connection.execute(sa.select(sa.func.max(scans.c.id)).where(scans.c.scanner == new.scanner)).scalar()
    if last is None:
        raise NodeError(f"There is no scanner {new.scanner} in the record.")
    inserted = connection.execute(
        table.insert().values(
            at=at,
            scanner=new.scanner,
            resolved_on=new.resolved_on.isoformat(),
            after_scan=last,
            new_baseline=new.new_baseline,
            by=new.by,
            note=new.note,
        )
    )
    (resolution,) = inserted.inserted_primary_key or (0,)
    history.note(connection, at, None, "quality-resolved", scanner=new.scanner, by=new.by, note=new.note)
    return int(resolution)


def cross(connection: sa.Connection, at: float, crossing: CrossCalibration) -> None:
    """Keep a cross-calibration; the latest valid one of a scanner, kVp and kernel class counts."""
    connection.execute(schema.quality_crossings.insert().values(at=at, document=codec.dump_crossing(crossing)))
    history.note(connection, at, None, "cross-calibrated", scanner=crossing.key.scanner, source=crossing.source)


def load(connection: sa.Connection, scanner: str | None = None, *, patients: bool = True) -> QualityRecord:
    """Return the record of one scanner or of all, oldest first, with or without the lines that patients left."""
    scans, resolutions, crossings = schema.quality_scans, schema.quality_resolutions, schema.quality_crossings
    lines = sa.select(scans).order_by(scans.c.id)
    if scanner is not None:
        lines = lines.where(scans.c.scanner == scanner)
    if not patients:
        lines = lines.where(scans.c.kind != "patient")
    return QualityRecord(
        tuple(
            RecordedScan(row.id, row.recorded_at, row.series_instance_uid, codec.load_scan(row.document), row.excluded)
            for row in connection.execute(lines)
        ),
        tuple(
            Resolution(
                row.id,
                row.at,
                row.scanner,
                date.fromisoformat(row.resolved_on),
                row.after_scan,
                row.new_baseline,
                row.by,
                row.note,
            )
            for row in connection.execute(sa.select(resolutions).order_by(resolutions.c.id))
        ),
        tuple(
            codec.load_crossing(document)
            for document in connection.execute(sa.select(crossings.c.document).order_by(crossings.c.id)).scalars()
        ),
    )
