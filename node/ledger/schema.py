"""The tables, for SQLite and PostgreSQL alike. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

VERSION = 1
"""Raised when tables change in a way that older software cannot live with; additions do not count (see ``layout``)."""

metadata = sa.MetaData()

_KEY = sa.String(16)
_UID = sa.String(64)

about = sa.Table("about", metadata, sa.Column("schema_version", sa.Integer, nullable=False))

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_key", _KEY, primary_key=True),
    sa.Column("study_instance_uid", _UID, nullable=False),
    sa.Column("first_received_at", sa.Float, nullable=False),
    sa.Column("last_received_at", sa.Float, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # one higher with every new instance
    sa.Column("patient_key", sa.String(32), index=True),  # a digest
    sa.Column("undecided", sa.Boolean, nullable=False),  # something arrived since the last decision
    sa.Index("studies_by_quiet", "undecided", "last_received_at"),
)

series = sa.Table(
    "series",
    metadata,
    sa.Column("series_key", _KEY, primary_key=True),
    sa.Column("study_key", _KEY, sa.ForeignKey("studies.study_key"), nullable=False, index=True),
    sa.Column("series_instance_uid", _UID, nullable=False),
    sa.Column("sender", sa.String(16)),  # calling AE title
    sa.Column("sender_host", sa.String(64)),
    sa.Column("modality", sa.String(64)),
    sa.Column("description", sa.String(256)),
    sa.Column("instances", sa.Integer, nullable=False),
    sa.Column("first_received_at", sa.Float, nullable=False),
    sa.Column("last_received_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("state_since", sa.Float, nullable=False),
    sa.Column("rule", sa.String(128)),
    sa.Column("job_id", sa.String(64)),  # the current one
    sa.Column("variants", sa.Integer, nullable=False, server_default="0"),  # other bytes under known UIDs, kept beside
    sa.Column("held_at", sa.Float),  # an operator keeps its results back
    sa.Column("held_by", sa.String(64)),
    sa.Column("held_why", sa.Text),
    sa.Column("reconsider", sa.Boolean, nullable=False, server_default=sa.false()),  # decide anew, though it is done
    sa.Index("series_by_arrival", "last_received_at"),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("series_key", _KEY, sa.ForeignKey("series.series_key"), nullable=False, index=True),
    sa.Column("sop_instance_uid", _UID, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("variant", sa.Boolean, nullable=False),  # other bytes came first under this UID: kept, not measured
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("header", sa.JSON, nullable=False),
    sa.Column("sender", sa.String(16)),
    sa.Column("sender_host", sa.String(64)),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.UniqueConstraint("sop_instance_uid", "digest"),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("series_key", _KEY, sa.ForeignKey("series.series_key"), nullable=False, index=True),
    sa.Column("decided_at", sa.Float, nullable=False),
    sa.Column("config_version", sa.String(64), nullable=False),
    sa.Column("instance_set", sa.String(64), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("rule", sa.String(128)),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("verdicts", sa.JSON, nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("series_key", _KEY, sa.ForeignKey("series.series_key"), nullable=False, index=True),
    sa.Column("instance_set", sa.String(64), nullable=False),
    sa.Column("instance_ids", sa.JSON, nullable=False),
    sa.Column("config_version", sa.String(64), nullable=False),
    sa.Column("rule", sa.String(128), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),  # MeasureJob without the instances of its series
    sa.Column("destinations", sa.JSON, nullable=False),
    sa.Column("predecessor", sa.String(64)),  # the job whose report this one replaces
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("starts", sa.Integer, nullable=False),
    sa.Column("planned_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("refusal_reason", sa.String(64)),
    sa.Column("refusal_message", sa.Text),
    sa.Column("result", sa.JSON),  # one entry of ``results`` of the documented JSON
    sa.Column("previews", sa.JSON),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),  # higher first
    sa.Column("shadow", sa.Boolean, nullable=False, server_default=sa.false()),  # measured, kept, not sent
    sa.Column("kept", sa.Boolean),  # False: its files were removed; NULL: they are there
    sa.Column("turn", sa.Integer, nullable=False, server_default="0"),  # one higher when it is to be handed over again
    sa.Index("jobs_by_end", "finished_at", "state"),
)

outputs = sa.Table(
    "outputs",
    metadata,
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("sop_instance_uid", _UID, primary_key=True),
    sa.Column("sop_class_uid", _UID, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("order", sa.Integer, nullable=False),
    sa.Column("series_instance_uid", _UID),  # of the object itself
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("destination", sa.String(64), primary_key=True),
    sa.Column("sop_instance_uid", _UID, primary_key=True),
    sa.Column("state", sa.String(24), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),  # attempts that the destination answered with a failure
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("next_attempt_at", sa.Float, nullable=False),
    sa.Column("last_attempt_at", sa.Float),
    sa.Column("last_status", sa.Integer),  # DIMSE status of the last answer
    sa.Column("last_error", sa.Text),
    sa.Column("lease_owner", sa.String(96)),  # the process that is sending it
    sa.Column("stored_at", sa.Float),
    sa.Column("proof", sa.String(16)),  # ProofState; NULL: none is asked for
    sa.Column("proof_attempts", sa.Integer, nullable=False, server_default="0"),
    sa.ForeignKeyConstraint(["job_id", "sop_instance_uid"], ["outputs.job_id", "outputs.sop_instance_uid"]),
    sa.Index("deliveries_due", "destination", "state", "next_attempt_at"),
    sa.Index("deliveries_to_prove", "proof", "destination", "next_attempt_at"),
    sa.Index("deliveries_by_state", "state", "destination"),
    sa.Index("deliveries_by_storing", "stored_at"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("series_key", _KEY, index=True),
    sa.Column("kind", sa.String(48), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
)
"""Append-only history."""

quality_scans = sa.Table(
    "quality_scans",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("series_instance_uid", _UID, nullable=False),
    sa.Column("instance_set", sa.String(64), nullable=False),
    sa.Column("recorded_at", sa.Float, nullable=False),
    sa.Column("scanner", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # "qa" or "patient"
    sa.Column("document", sa.JSON, nullable=False),  # ScanRecord
    sa.Column("excluded", sa.Text),  # why it does not count
    sa.UniqueConstraint("series_instance_uid", "instance_set"),
    sa.Index("quality_scans_by_scanner", "scanner", "kind"),
)
"""The scanners' record: QA scans, and what patients' scans say of their scanner."""

quality_resolutions = sa.Table(
    "quality_resolutions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("scanner", sa.String(64), nullable=False),
    sa.Column("resolved_on", sa.String(10), nullable=False),  # ISO 8601
    sa.Column("after_scan", sa.Integer, nullable=False),
    sa.Column("new_baseline", sa.Boolean, nullable=False),
    sa.Column("by", sa.String(64), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)

quality_crossings = sa.Table(
    "quality_crossings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),  # CrossCalibration
)
