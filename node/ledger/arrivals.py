"""Recording what arrives."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from node.ledger import codec, history, keys, schema
from node.ledger.records import Arrival, Recorded
from node.ledger.states import State

_ARRIVING = "arriving"
_LATE = "late-instance"


def record(connection: sa.Connection, at: float, arrival: Arrival) -> Recorded:
    """Record one object: idempotent on SOP Instance UID and digest. Other bytes under a known UID become a variant."""
    header = arrival.header
    table = schema.instances
    known = connection.execute(
        sa.select(table.c.digest).where(table.c.sop_instance_uid == header.sop_instance_uid)
    ).scalars()
    digests = set(known)
    if arrival.digest in digests:
        return Recorded.DUPLICATE
    study = keys.study_key(header.study_instance_uid)
    series = keys.series_key(header.study_instance_uid, header.series_instance_uid)
    _touch_study(connection, at, study, header.study_instance_uid)
    _touch_series(connection, at, study, series, arrival, variant=bool(digests))
    connection.execute(table.insert(), _row(at, series, arrival, variant=bool(digests)))
    if digests:
        history.note(connection, at, series, "variant-instance", sop_instance_uid=header.sop_instance_uid)
        return Recorded.VARIANT
    return Recorded.NEW


def _touch_study(connection: sa.Connection, at: float, key: str, uid: str) -> None:
    table = schema.studies
    touched = connection.execute(
        table.update()
        .where(table.c.study_key == key)
        .values(last_received_at=at, revision=table.c.revision + 1, undecided=True)
    )
    if not touched.rowcount:
        connection.execute(
            table.insert().values(
                study_key=key,
                study_instance_uid=uid,
                first_received_at=at,
                last_received_at=at,
                revision=1,
                undecided=True,
            )
        )


def _touch_series(
    connection: sa.Connection, at: float, study: str, key: str, arrival: Arrival, *, variant: bool
) -> None:
    table = schema.series
    state = connection.execute(sa.select(table.c.state).where(table.c.series_key == key)).scalar()
    if state is None:
        _open_series(connection, at, study, key, arrival, variant=variant)
        return
    connection.execute(
        table.update()
        .where(table.c.series_key == key)
        .values(last_received_at=at, instances=table.c.instances + (0 if variant else 1))
    )
    if state != State.RECEIVING and not variant:
        message = "Further instances arrived after the series had been decided; it is decided again when it is quiet."
        history.move(connection, at, key, State.RECEIVING, _LATE, message)


def _open_series(
    connection: sa.Connection, at: float, study: str, key: str, arrival: Arrival, *, variant: bool
) -> None:
    header = arrival.header
    connection.execute(
        schema.series.insert().values(
            series_key=key,
            study_key=study,
            series_instance_uid=header.series_instance_uid,
            sender=arrival.sender,
            sender_host=arrival.sender_host,
            modality=_short(header.modality, 64),
            description=_short(header.series_description, 256),
            instances=0 if variant else 1,
            first_received_at=at,
            last_received_at=at,
            state=State.RECEIVING.value,
            reason=_ARRIVING,
            message="Instances are arriving.",
            state_since=at,
        )
    )
    history.note(connection, at, key, "series-opened", sender=arrival.sender, sender_host=arrival.sender_host)


def _row(at: float, series: str, arrival: Arrival, *, variant: bool) -> dict[str, Any]:
    return {
        "series_key": series,
        "sop_instance_uid": arrival.header.sop_instance_uid,
        "digest": arrival.digest,
        "variant": variant,
        "path": str(arrival.path),
        "size_bytes": arrival.size_bytes,
        "header": codec.dump_header(arrival.header),
        "sender": arrival.sender,
        "sender_host": arrival.sender_host,
        "received_at": at,
    }


def _short(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]
