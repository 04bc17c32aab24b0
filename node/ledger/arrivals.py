"""Recording what arrives."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from node.ledger import codec, history, keys, schema
from node.ledger.prepared import Prepared
from node.ledger.records import Arrival, Recorded
from node.ledger.states import State

_ARRIVING = "arriving"
_LATE = "late-instance"

_KNOWN = Prepared(
    sa.select(schema.instances.c.digest, schema.instances.c.path).where(
        schema.instances.c.sop_instance_uid == sa.bindparam("uid")
    )
)
_TOUCH_STUDY = Prepared(
    schema.studies.update()
    .where(schema.studies.c.study_key == sa.bindparam("key"))
    .values(
        last_received_at=sa.bindparam("at"),
        revision=schema.studies.c.revision + sa.literal_column("1"),
        undecided=sa.true(),
    )
)
_TOUCH_SERIES = Prepared(
    schema.series.update()
    .where(schema.series.c.series_key == sa.bindparam("key"), schema.series.c.state == sa.bindparam("receiving"))
    .values(
        last_received_at=sa.bindparam("at"),
        instances=schema.series.c.instances + sa.bindparam("more"),
        variants=schema.series.c.variants + sa.bindparam("other"),
    )
)
_INSERT = Prepared(
    schema.instances.insert()
    .inline()
    .values({column.name: sa.bindparam(column.name) for column in schema.instances.c if not column.primary_key})
)


def known(connection: sa.Connection, sop_instance_uid: str, digest: str) -> bool:
    """Whether these bytes have been recorded under this UID, and not been removed since."""
    return bool(_paths(connection, sop_instance_uid).get(digest))


def record(connection: sa.Connection, at: float, arrival: Arrival) -> Recorded:
    """Record one object: idempotent on SOP Instance UID and digest. Other bytes under a known UID become a variant."""
    header = arrival.header
    _one_at_a_time(connection, header.study_instance_uid, header.sop_instance_uid)
    digests = _paths(connection, header.sop_instance_uid)
    if arrival.digest in digests:
        _lies_here(connection, arrival)
        return Recorded.DUPLICATE
    variant = bool(digests)
    series = keys.series_key(header.study_instance_uid, header.series_instance_uid)
    _touch_study(connection, at, header.study_instance_uid, header.patient_key)
    _touch_series(connection, at, series, arrival, variant=variant)
    _INSERT.run(connection, _row(at, series, arrival, variant=variant))
    if variant:
        history.note(connection, at, series, "variant-instance", sop_instance_uid=header.sop_instance_uid)
        return Recorded.VARIANT
    return Recorded.NEW


def _paths(connection: sa.Connection, sop_instance_uid: str) -> dict[str, str]:
    """Where each variant of an object lies, by its digest; empty text where it was removed when it had had its time."""
    return dict(_KNOWN.run(connection, {"uid": sop_instance_uid}).fetchall())


def _lies_here(connection: sa.Connection, arrival: Arrival) -> None:
    """What was removed when it had had its time has come once more."""
    table = schema.instances
    same = sa.and_(table.c.sop_instance_uid == arrival.header.sop_instance_uid, table.c.digest == arrival.digest)
    connection.execute(table.update().where(same, table.c.path == "").values(path=str(arrival.path)))


_LOCKS = sa.select(
    sa.func.pg_advisory_xact_lock(sa.bindparam("study", type_=sa.BigInteger)),
    sa.func.pg_advisory_xact_lock(sa.bindparam("object", type_=sa.BigInteger)),
)


def _one_at_a_time(connection: sa.Connection, study: str, sop_instance_uid: str) -> None:
    """Several receivers may be given one study at once: PostgreSQL lets them queue. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        names = {"study": study, "object": f"object {sop_instance_uid}"}
        connection.execute(_LOCKS, {key: keys.advisory(name) for key, name in names.items()})


def _touch_study(connection: sa.Connection, at: float, uid: str, patient_key: str | None) -> None:
    key = keys.study_key(uid)
    if _TOUCH_STUDY.run(connection, {"key": key, "at": at}).rowcount:
        return
    connection.execute(
        schema.studies.insert().values(
            study_key=key,
            study_instance_uid=uid,
            patient_key=patient_key,
            first_received_at=at,
            last_received_at=at,
            revision=1,
            undecided=True,
        )
    )


def _touch_series(connection: sa.Connection, at: float, key: str, arrival: Arrival, *, variant: bool) -> None:
    more, other = (0, 1) if variant else (1, 0)
    values = {"key": key, "at": at, "more": more, "other": other, "receiving": State.RECEIVING.value}
    if _TOUCH_SERIES.run(connection, values).rowcount:
        return
    table = schema.series
    if connection.execute(sa.select(table.c.state).where(table.c.series_key == key)).scalar() is None:
        _open_series(connection, at, key, arrival, instances=more, variants=other)
        return
    counted = table.update().where(table.c.series_key == key)
    changed = {"instances": table.c.instances + more, "variants": table.c.variants + other}
    connection.execute(counted.values(last_received_at=at, **changed))
    if not variant:
        message = "Further instances arrived after the series had been decided; it is decided again when it is quiet."
        history.move(connection, at, key, State.RECEIVING, _LATE, message)


def _open_series(
    connection: sa.Connection, at: float, key: str, arrival: Arrival, *, instances: int, variants: int
) -> None:
    header = arrival.header
    connection.execute(
        schema.series.insert().values(
            series_key=key,
            study_key=keys.study_key(header.study_instance_uid),
            series_instance_uid=header.series_instance_uid,
            sender=arrival.sender,
            sender_host=arrival.sender_host,
            modality=_short(header.modality, 64),
            description=_short(header.series_description, 256),
            instances=instances,
            variants=variants,
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
        "header": codec.header_text(arrival.header),
        "sender": arrival.sender,
        "sender_host": arrival.sender_host,
        "received_at": at,
    }


def _short(text: str | None, length: int) -> str | None:
    """PostgreSQL's text has no NUL, and no half of a surrogate pair can be encoded."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:length]
