"""What may be removed: images and results of series that have come to their end, nothing still to be delivered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from node.ledger import history, proofs, schema
from node.ledger.database import Database
from node.ledger.states import ACCEPTED_DELIVERIES, DeliveryState, JobState, ProofState, State

ENDED = (State.IGNORED, State.MEASURED, State.REFUSED, State.DELIVERED, State.WITHDRAWN)
"""A series in one of these waits for nothing. A failed or held one does: for an operator."""
_S, _J, _D, _I, _O = schema.series, schema.jobs, schema.deliveries, schema.instances, schema.outputs
_DONE = [*(state.value for state in ACCEPTED_DELIVERIES), DeliveryState.CANCELLED.value]


@dataclass(frozen=True, slots=True)
class Ended:
    """A series that may lose something."""

    series_key: str
    study_key: str
    since: float


class AgeingBook:
    """The part of the ledger about what may go."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def ended(self, before: float, *, having: str, limit: int = 1000) -> list[Ended]:
        """Return series that ended before a moment, the longest ended first, with all their deliveries done.

        ``having``: "inputs" or "results" that are still there, or "rows" alone.
        """
        inputs = sa.exists().where(_I.c.series_key == _S.c.series_key, _I.c.path != "")
        results = sa.exists().where(_J.c.series_key == _S.c.series_key, _J.c.kept.is_(None))
        wanted = {"inputs": inputs, "results": results, "rows": sa.not_(sa.or_(inputs, results))}[having]
        query = (
            sa.select(_S.c.series_key, _S.c.study_key, _S.c.state_since)
            .where(_S.c.state.in_([state.value for state in ENDED]), _S.c.state_since < before)
            .where(wanted, sa.not_(_busy()), sa.not_(_unsettled()))
            .order_by(_S.c.state_since)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Ended(row.series_key, row.study_key, row.state_since) for row in connection.execute(query)]

    def forget_inputs(self, series_key: str) -> list[Path]:
        """Note that the images of a series are gone, and return where they lay: row first, file after."""
        mine = sa.and_(_I.c.series_key == series_key, _I.c.path != "")
        with self._database.write() as connection:
            if self._came_back(connection, series_key):
                return []
            paths = [Path(path) for path in connection.execute(sa.select(_I.c.path).where(mine)).scalars()]
            connection.execute(_I.update().where(mine).values(path=""))
            history.note(connection, self._clock(), series_key, "inputs-removed", objects=len(paths))
            return paths

    def forget_results(self, series_key: str) -> list[Path]:
        """Note that what the jobs of a series left is gone, and return their folders."""
        with self._database.write() as connection:
            if self._came_back(connection, series_key):
                return []
            rows = connection.execute(sa.select(_J.c.document).where(_J.c.series_key == series_key)).scalars()
            folders = [Path(document["out_dir"]) for document in rows]
            connection.execute(_J.update().where(_J.c.series_key == series_key).values(kept=False, previews=[]))
            history.note(connection, self._clock(), series_key, "results-removed", jobs=len(folders))
            return folders

    def forget_rows(self, series: Sequence[Ended]) -> None:
        """Remove series from the ledger, with their events; a study goes with its last series."""
        with self._database.write() as connection:
            for one in series:
                if not self._came_back(connection, one.series_key):
                    _delete(connection, one)

    def _came_back(self, connection: sa.Connection, series_key: str) -> bool:
        """Whether something happened to a series meanwhile: it is locked and looked at again."""
        query = sa.select(_S.c.state).where(_S.c.series_key == series_key).with_for_update()
        return connection.execute(query).scalar() not in [state.value for state in ENDED]


def _busy() -> sa.ColumnElement[bool]:
    """A delivery that is not done, or not proven yet, or a job that is not."""
    waiting = sa.or_(_D.c.state.not_in(_DONE), _D.c.proof == ProofState.WANTED.value)
    delivering = sa.exists().where(_D.c.job_id == _J.c.job_id, _J.c.series_key == _S.c.series_key, waiting)
    working = sa.exists().where(
        _J.c.series_key == _S.c.series_key, _J.c.state.in_([JobState.PLANNED.value, JobState.RUNNING.value])
    )
    return sa.or_(delivering, working)


def _unsettled() -> sa.ColumnElement[bool]:
    studies = schema.studies
    return sa.exists().where(studies.c.study_key == _S.c.study_key, studies.c.undecided)


def _delete(connection: sa.Connection, one: Ended) -> None:
    jobs = list(connection.execute(sa.select(_J.c.job_id).where(_J.c.series_key == one.series_key)).scalars())
    for table in (_D, _O, proofs.proofs, _J):
        connection.execute(table.delete().where(table.c.job_id.in_(jobs)))
    for table in (_I, schema.decisions, schema.events, _S):
        connection.execute(table.delete().where(table.c.series_key == one.series_key))
    left = sa.exists().where(_S.c.study_key == schema.studies.c.study_key)
    connection.execute(schema.studies.delete().where(schema.studies.c.study_key == one.study_key, sa.not_(left)))
