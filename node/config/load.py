"""``load()``: file → ``Config``, or ``ConfigError`` with every problem at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.config import check
from node.config.phantoms import load_phantoms, phantom_files
from node.config.rules import Rule, Scanner
from node.config.schema import ARRAYS, DEFAULT_STATE, TABLES
from node.config.tables import Table, problems, suggestion
from node.domain.phantom import PhantomModel
from node.domain.settings import (
    AdminSettings,
    AlarmSettings,
    ArchiveSettings,
    AssemblySettings,
    AuditSettings,
    CalibrationLimits,
    CategoryLimits,
    ConfounderPolicies,
    DeliverySettings,
    Destination,
    FractureLimits,
    LevelLimits,
    MeasurementSettings,
    OnnxModel,
    PageSettings,
    PriorArchive,
    PriorSettings,
    QualitySettings,
    ReceiverSettings,
    ReformatSettings,
    ReportSettings,
    RetentionSettings,
    RetryPolicy,
    SegmenterSettings,
    Sender,
    SuitabilityLimits,
    TlsSettings,
    TotalSegmentatorSettings,
    UncertaintySettings,
    VoiShape,
    WorkSettings,
)
from node.errors import ConfigError, Problem
from node.resources import shipped

FILE_VARIABLE = "VBMD_NODE_CONFIG"
STATE_VARIABLE = "VBMD_NODE_STATE"
DATABASE_VARIABLE = "VBMD_NODE_DATABASE"
ADMIN_PORT_VARIABLE = "VBMD_NODE_ADMIN_PORT"
SYSTEM_FILE = Path("/etc/vbmd-node/node.toml")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a site decides."""

    file: Path
    """Where it was read from."""
    digest: str
    """SHA-256 of the effective content (defaults filled in, phantoms and templates included), hexadecimal."""
    state: Path
    """Folder of all that the node keeps."""
    database: str = field(repr=False)
    """SQLAlchemy URL; may hold a password."""
    receiver: ReceiverSettings
    assembly: AssemblySettings
    work: WorkSettings
    measurement: MeasurementSettings
    page: PageSettings
    report: ReportSettings
    destinations: tuple[Destination, ...]
    scanners: tuple[Scanner, ...]
    rules: tuple[Rule, ...]
    phantoms: Mapping[str, PhantomModel]
    """All that are known, by id."""
    default_phantoms: tuple[str, ...]
    """Those of a scanner that is not listed."""
    templates: Mapping[str, Path]
    """Report templates by name."""
    quality: QualitySettings
    qa_phantoms: tuple[str, ...]
    """Ids of the QA phantoms that a scan without a patient may show."""

    prior_archive: PriorArchive | None = None
    """Who is asked for earlier reports of a patient."""
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)


def locate(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The file to read: ``path`` (file or folder), $VBMD_NODE_CONFIG, /etc/vbmd-node/node.toml, the shipped default."""
    chosen = path or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    if chosen is None:
        chosen = SYSTEM_FILE if SYSTEM_FILE.is_file() else shipped("config") / "node.toml"
    return chosen / "node.toml" if chosen.is_dir() else chosen


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration. Raises ``ConfigError`` with every problem found."""
    file = locate(path, environment)
    return _loaded(file, _toml(file), file, environment)


def load_with(rules: Path, path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration with the tables of another file, such as ``[[rules]]``, in place of its own.

    Raises ``ConfigError``; problems are those of ``rules``.
    """
    file = locate(path, environment)
    load(path, environment)
    return _loaded(file, {**_toml(file), **_toml(rules)}, rules, environment)


def whereabouts(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """Return the configuration file and the URL of the ledger, whatever else is wrong with the file.

    Raises ``ConfigError`` where the ``[node]`` table is no TOML by itself.
    """
    file = locate(path, environment)
    try:
        raw = _toml(file)
    except ConfigError:
        if not file.is_file():
            raise
        text = file.read_text("utf-8", "replace")
        section = re.search(r"^\[node\][^\n]*\n(?:(?!\s*\[)[^\n]*\n?)*", text, re.MULTILINE)
        raw = _parsed(file, section[0] if section else "")
    node = raw.get("node")
    known = {key: value for key, value in node.items() if isinstance(value, str)} if isinstance(node, dict) else {}
    state = _path(environment.get(STATE_VARIABLE) or known.get("state") or DEFAULT_STATE, file.parent)
    return file, environment.get(DATABASE_VARIABLE) or known.get("database") or _sqlite(state)


def _sqlite(state: Path) -> str:
    return f"sqlite:///{state / 'node.sqlite'}"


def _loaded(file: Path, raw: Mapping[str, Any], named: Path, environment: Mapping[str, str]) -> Config:
    """The configuration of ``raw``, as if it stood in ``file``; problems name the file ``named``."""
    found: list[Problem] = []
    tables = _tables(raw, str(named), found)
    arrays = {name: _array(raw, name, str(named), found) for name in ARRAYS}
    files = phantom_files(_folders(file, "config", "phantoms"))
    phantoms = load_phantoms(files.values(), found)
    templates = _templates(file)
    names = check.Names.of(raw, phantoms=files, templates=templates)
    found += check.everything(str(named), raw, tables, arrays, names)
    found += check.kinds(str(named), raw, {name: one.kind for name, one in phantoms.items()})
    if found:
        raise ConfigError(tuple(found))
    return _config(
        file,
        tables,
        {name: [row for _, row in rows] for name, rows in arrays.items()},
        phantoms,
        templates,
        environment,
    )


def catalogue(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> tuple[Path, list[PhantomModel]]:
    """Where the configuration lies, and the phantoms known there, also while the configuration is wrong."""
    file = locate(path, environment)
    return file, list(load_phantoms(phantom_files(_folders(file, "config", "phantoms")).values(), []).values())


def _toml(file: Path) -> dict[str, Any]:
    try:
        return _parsed(file, file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = Problem(
            str(file), "", "there is no such file.", "Give --config FILE, or copy the shipped config/node.toml."
        )
    except OSError as error:
        problem = Problem(str(file), "", f"cannot be read: {error.strerror}.", "Check owner and permissions.")
    except UnicodeDecodeError:
        problem = Problem(str(file), "", "is not UTF-8 text.", "Save it as UTF-8.")
    raise ConfigError((problem,))


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = Problem(str(file), "", f"is not TOML: {error}.", "Text needs quotes, true and false are lower case.")
        raise ConfigError((problem,)) from error


def _tables(raw: Mapping[str, Any], file: str, found: list[Problem]) -> dict[str, Any]:
    """Every ``[table]``; one that is wrong counts as left out, so that the rest can be checked."""
    for key in raw:
        if key not in TABLES and key not in ARRAYS:
            found.append(Problem(file, key, "is not a known table.", suggestion(key, [*TABLES, *ARRAYS])))
    tables: dict[str, Any] = {}
    for name, table in TABLES.items():
        try:
            tables[name] = table.model_validate(raw.get(name, {}))
        except ValidationError as error:
            found += problems(file, name, table, error)
            tables[name] = table()
    return tables


def _array(raw: Mapping[str, Any], name: str, file: str, found: list[Problem]) -> list[tuple[int, Table]]:
    """(position, row) of the rows of ``[[name]]`` that are right in themselves."""
    rows = raw.get(name, [])
    if not isinstance(rows, list):
        found.append(Problem(file, name, "must be a list of tables.", f"Write [[{name}]], not [{name}]."))
        return []
    right = []
    for index, row in enumerate(rows):
        try:
            right.append((index, ARRAYS[name].model_validate(row)))
        except ValidationError as error:
            found += problems(file, f"{name}[{index}]", ARRAYS[name], error)
    return right


def _folders(file: Path, shipped_folder: str, name: str) -> list[Path]:
    """``name`` beside the configuration file, then as shipped."""
    folders = [file.parent / name]
    try:
        folders.append(shipped(shipped_folder) / name if shipped_folder != name else shipped(name))
    except FileNotFoundError:
        return folders
    return folders


def _templates(file: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders(file, "sr_templates", "sr_templates"):
        for template in sorted(folder.glob("*.toml")):
            found.setdefault(template.stem, template)
    return found


def _config(
    file: Path,
    tables: Mapping[str, Any],
    arrays: Mapping[str, list[Any]],
    phantoms: Mapping[str, PhantomModel],
    templates: Mapping[str, Path],
    environment: Mapping[str, str],
) -> Config:
    node, measure, qa = (tables[name].model_dump() for name in ("node", "measure", "qa"))
    state = _path(environment.get(STATE_VARIABLE) or node["state"], file.parent)
    spool = _path(node["spool"], state) if node["spool"] else state / "spool"
    receiver = {key: node[key] for key in ReceiverSettings.__dataclass_fields__ if key in node and key != "spool"}
    return Config(
        file=file,
        digest=_digest(tables, arrays, phantoms, templates, file.parent),
        state=state,
        database=environment.get(DATABASE_VARIABLE) or node["database"] or _sqlite(state),
        receiver=ReceiverSettings(
            **receiver,
            spool=spool,
            senders=tuple(Sender(**row.model_dump()) for row in arrays["senders"]),
            reporters=tuple(_reporter(row) for row in arrays["destinations"] if "commitment" in row.proof),
            tls=_tls(tables["tls"].model_dump(), file.parent),
        ),
        assembly=AssemblySettings(node["quiet_period_s"], node["sweep_interval_s"]),
        work=WorkSettings(**{key: value for key, value in measure.items() if key != "phantoms"}),
        measurement=MeasurementSettings(
            calibration=CalibrationLimits(**tables["calibration"].model_dump()),
            voi=VoiShape(**tables["voi"].model_dump()),
            suitability=SuitabilityLimits(**tables["suitability"].model_dump()),
            fractures=FractureLimits(**tables["fractures"].model_dump()),
            levels=LevelLimits(**tables["levels"].model_dump()),
            category=CategoryLimits(**tables["category"].model_dump()),
            uncertainty=UncertaintySettings(**tables["uncertainty"].model_dump()),
            confounders=ConfounderPolicies(**tables["confounders"].model_dump()),
            reformat=ReformatSettings(**tables["reformat"].model_dump()),
            priors=PriorSettings(**_only(PriorSettings, tables["priors"])),
            segmenter=_segmenter(tables["segmenter"], arrays["models"], file.parent),
        ),
        page=_page(tables["page"], file.parent),
        report=ReportSettings(
            **tables["report"].model_dump(),
            only={row.name: row.outputs for row in arrays["destinations"] if row.outputs},
        ),
        destinations=tuple(_destination(row) for row in arrays["destinations"]),
        scanners=tuple(arrays["scanners"]),
        rules=tuple(arrays["rules"]),
        phantoms=phantoms,
        default_phantoms=measure["phantoms"] or tuple(name for name, one in phantoms.items() if one.kind != "qa"),
        templates=templates,
        quality=QualitySettings(**{key: value for key, value in qa.items() if key != "phantoms"}),
        qa_phantoms=qa["phantoms"] or tuple(name for name, one in phantoms.items() if one.kind == "qa"),
        prior_archive=_prior_archive(tables["priors"], arrays["destinations"], templates),
        delivery=DeliverySettings(**tables["delivery"].model_dump()),
        admin=_admin(tables["admin"], environment),
        alarms=AlarmSettings(**tables["alarms"].model_dump()),
        retention=RetentionSettings(**tables["retention"].model_dump()),
        audit=AuditSettings(**tables["audit"].model_dump()),
    )


def _tls(values: dict[str, Any], base: Path) -> TlsSettings | None:
    if values["certificate"] is None:
        return None
    paths = {key: _path(values[key], base) if values[key] else None for key in ("certificate", "key", "authorities")}
    return TlsSettings(**(values | paths))


def _admin(row: Table, environment: Mapping[str, str]) -> AdminSettings:
    """A container has its health asked over HTTP without a line in a file."""
    values, port = row.model_dump(), environment.get(ADMIN_PORT_VARIABLE, "")
    if values["port"] is None and port.isdecimal() and 0 < int(port) < 65536:
        values["port"] = int(port)
    return AdminSettings(**values)


def _destination(row: Table) -> Destination:
    values = row.model_dump()
    return Destination(**(values | {"retry": RetryPolicy(**values["retry"])}))


def _only(kind: type[Any], row: Table) -> dict[str, Any]:
    """The values of a table that belong to one of the parts it feeds."""
    return {key: value for key, value in row.model_dump().items() if key in kind.__dataclass_fields__}


def _prior_archive(row: Table, destinations: Sequence[Table], templates: Mapping[str, Path]) -> PriorArchive | None:
    values = row.model_dump()
    if not values["enabled"] or not (values["archive"] or values["host"]):
        return None
    known = {one.name: one for one in map(_destination, destinations)}
    own = {**_only(Destination, row), "name": "priors"}
    destination = known[values["archive"]] if values["archive"] else Destination(**own)
    return PriorArchive(destination, ArchiveSettings(**_only(ArchiveSettings, row)), _report_series(templates))


def _report_series(templates: Mapping[str, Path]) -> tuple[str, ...]:
    """Descriptions of the series that reports were written to, by every template there is."""
    found: set[str] = set()
    for path in templates.values():
        try:
            parsed = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        tables = [parsed.get("document"), parsed.get("heights")]
        texts = [one.get("series_description") for one in tables if isinstance(one, dict)]
        found |= {text for text in texts if isinstance(text, str)}
    return tuple(sorted(found))


def _reporter(row: Any) -> Sender:
    """An archive answers a commitment request when it likes, calling whom it was asked by."""
    return Sender(row.name, ae_title=row.ae_title, called_ae_title=row.calling_ae_title)


def _page(row: Table, folder: Path) -> PageSettings:
    values = row.model_dump()
    if values["font"]:
        values["font"] = str(_path(values["font"], folder))
    return PageSettings(**values)


def _segmenter(row: Table, models: Sequence[Table], folder: Path) -> SegmenterSettings:
    values = row.model_dump()
    installed = values.pop("totalsegmentator")
    if installed["weights"]:
        installed["weights"] = str(_path(installed["weights"], folder))
    described = [model.model_dump() for model in models]
    return SegmenterSettings(
        **values,
        totalsegmentator=TotalSegmentatorSettings(**installed),
        models=tuple(OnnxModel(**one | {"file": str(_path(one["file"], folder))}) for one in described),
    )


def _file_digest(file: Path) -> str | None:
    """Of a model; a missing one is named by ``check`` and at the start."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _path(text: str, base: Path) -> Path:
    """Relative paths start at ``base``; ``~`` is the home folder."""
    return base / Path(text).expanduser()


def _digest(
    tables: Mapping[str, Any],
    arrays: Mapping[str, list[Any]],
    phantoms: Mapping[str, PhantomModel],
    templates: Mapping[str, Path],
    folder: Path,
) -> str:
    used = {row.template for row in arrays["rules"]}
    content = {
        "tables": {name: table.model_dump() for name, table in tables.items()},
        "arrays": {name: [row.model_dump() for row in rows] for name, rows in arrays.items()},
        "phantoms": {name: asdict(phantom) for name, phantom in phantoms.items()},
        "templates": {name: hashlib.sha256(templates[name].read_bytes()).hexdigest() for name in used},
        "models": {row.name: _file_digest(_path(row.file, folder)) for row in arrays["models"]},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
