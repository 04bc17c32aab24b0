"""Where a report stands that was taken back: who did it, why, and who has been told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from node.ledger import schema
from node.ledger.states import ACCEPTED_DELIVERIES, State


def taken_back(connection: sa.Connection, job_id: str, failed: str, rows: Sequence[Any]) -> tuple[State, str, str]:
    """State, reason and message when every note has been accepted or given up; ``rows``: the job's deliveries."""
    outputs = schema.outputs
    mine = sa.and_(outputs.c.job_id == job_id, outputs.c.kind == "withdrawal")
    notes = set(connection.execute(sa.select(outputs.c.sop_instance_uid).where(mine)).scalars())
    accepted = [row for row in rows if row.sop_instance_uid in notes and row.state in ACCEPTED_DELIVERIES]
    told = sorted({row.destination for row in accepted})
    act = _act(connection, job_id)
    if failed:
        return State.WITHDRAWN, "withdrawal-refused", f"{act} {failed} did not accept the note that says so."
    said = f"{', '.join(told)} accepted the note that says so." if told else "It had been sent nowhere."
    return State.WITHDRAWN, "withdrawn", f"{act} {said}"


def _act(connection: sa.Connection, job_id: str) -> str:
    """Who took it back, and why."""
    jobs, events = schema.jobs, schema.events
    key = sa.select(jobs.c.series_key).where(jobs.c.job_id == job_id).scalar_subquery()
    acts = sa.select(events.c.detail).where(events.c.series_key == key, events.c.kind == "withdrawn")
    detail = connection.execute(acts.order_by(events.c.id.desc()).limit(1)).scalar()
    return f"Taken back by {detail['by']}: {sentence(detail['why'])}" if detail else "Taken back."


def sentence(text: str) -> str:
    """What somebody wrote, with a full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
