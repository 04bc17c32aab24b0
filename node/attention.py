"""What a physicist must be told: QA scans that are overdue, scanners that are out of control."""

from __future__ import annotations

from datetime import UTC, date, datetime

from node.domain.settings import QualitySettings
from node.ledger import Ledger
from node.quality.charts import named
from node.quality.standing import Due, due, standings, told


def today(ledger: Ledger) -> date:
    """The day by the ledger's clock (UTC)."""
    return datetime.fromtimestamp(ledger.now(), UTC).date()


def dues(ledger: Ledger, settings: QualitySettings) -> tuple[Due, ...]:
    """QA scans that are overdue."""
    found = due(ledger.quality_record(), settings, today(ledger)) if settings.interval_days > 0 else ()
    return tuple(one for one in found if one.overdue_days > 0)


def alarms(ledger: Ledger, settings: QualitySettings) -> tuple[str, ...]:
    """Open alarms of every scanner, in words."""
    record = ledger.quality_record(patients=False)
    return tuple(
        f"{named(one.setup.key)}: {told(chart, alarm)} ({alarm.when})"
        for one in standings(record, settings)
        for chart, alarm in one.alarms
    )


def attention(ledger: Ledger, settings: QualitySettings) -> tuple[str, ...]:
    """Overdue QA scans and open alarms, for ``status``."""
    late = tuple(one.sentence for one in dues(ledger, settings))
    return late + tuple(f"Out of control: {sentence}" for sentence in alarms(ledger, settings))
