"""The configuration: complete, checked as a whole, with defaults that are written once."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from node.config import Config, load
from node.config.load import locate
from node.config.rules import ATTRIBUTES, AttributeTest, Rule, Scanner
from node.config.schema import ARRAYS, PHANTOM, RETRY, TABLES
from node.domain.settings import (
    AssemblySettings,
    Destination,
    MeasurementSettings,
    ReceiverSettings,
    RetryPolicy,
    Sender,
    WorkSettings,
)
from node.errors import ConfigError, Problem
from node.resources import shipped

PHANTOM_FILE = """
model = "Model 3"
serial = "4541A"
material = "K2HPO4"
rod_diameter_mm = 18
rods = [
  { name = "A", density_mg_cm3 = -51.83, water_density_mg_cm3 = 1012.25 },
  { name = "B", density_mg_cm3 = 58.88, water_density_mg_cm3 = 1103.57 },
]
"""


def write(folder: Path, text: str = "", phantom: str = PHANTOM_FILE) -> Path:
    (folder / "phantoms").mkdir(exist_ok=True)
    (folder / "phantoms" / "mine.toml").write_text(phantom)
    file = folder / "node.toml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str = "", environment: dict[str, str] | None = None) -> Config:
    return load(write(folder, text), environment or {})


def problems(folder: Path, text: str, phantom: str = PHANTOM_FILE) -> dict[str, str]:
    """Key → message and remedy of everything that is wrong."""
    with pytest.raises(ConfigError) as refused:
        load(write(folder, text, phantom), {})
    return {problem.key: f"{problem.message} {problem.remedy}".strip() for problem in refused.value.problems}


DESTINATION = '[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "pacs.example"\nport = 104\n'


def test_defaults_are_those_of_the_dataclasses(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    receiver = ReceiverSettings("VBMD_NODE", 11112, Path("/var/lib/vbmd-node/spool"))
    assert config.receiver == receiver
    assert config.assembly == AssemblySettings()
    assert config.work == WorkSettings()
    assert config.measurement == MeasurementSettings()
    assert config.database == "sqlite:////var/lib/vbmd-node/node.sqlite"
    assert (config.rules, config.destinations, config.scanners) == ((), (), ())


def test_shipped_file_states_the_defaults() -> None:
    config, raw = (
        load(shipped("config") / "node.toml", {}),
        tomllib.loads((shipped("config") / "node.toml").read_text()),
    )
    for name, table in TABLES.items():
        assert table.model_validate(raw[name]) == table(), name
    assert config.measurement == MeasurementSettings()
    assert [rule.name for rule in config.rules] == ["trunk"]
    stated = Rule.model_validate(raw["rules"][0] | {"when": {"all": []}})
    assert stated == Rule(name="trunk")


def test_shipped_file_admits_nobody() -> None:
    receiver = load(shipped("config") / "node.toml", {}).receiver
    assert receiver.senders == ()
    assert not receiver.open_to_all


def test_shipped_file_names_every_key_and_attribute() -> None:
    text = (shipped("config") / "node.toml").read_text()
    tables = [*TABLES.values(), *ARRAYS.values(), RETRY]
    keys = {field.alias or name for table in [*tables, AttributeTest] for name, field in table.model_fields.items()}
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()
    assert {name for name in ATTRIBUTES if not re.search(rf"\b{name}\b", text)} == set()


def test_examples_in_the_shipped_file_are_right(tmp_path: Path) -> None:
    """Every commented setting, uncommented, makes a configuration without problems."""
    text = (shipped("config") / "node.toml").read_text()
    setting = re.compile(r"^# (\[\[?[a-z.]+\]\]?|[a-z_]+ = .*)", re.MULTILINE)
    whole = setting.sub(r"\1", text).replace("mindways-model3-1234", "mine")
    config = loaded(tmp_path, whole)
    answers = {"answer_ae_title": "CT1_SC", "answer_host": "192.0.2.8", "answer_port": 104}
    assert config.receiver.senders == (Sender("ct1", "CT1", "192.0.2.7", "OLDNODE", **answers),)  # type: ignore[arg-type]
    assert config.receiver.tls is not None
    assert config.receiver.tls.key == tmp_path / "tls/node.key"
    assert config.destinations == (Destination("pacs", "PACS", "pacs.example", 104, calling_ae_title="VBMD"),)
    assert config.destinations[0].retry == RetryPolicy()
    assert config.scanners[0].phantoms == ("mine",)
    assert config.database.startswith("postgresql")


def test_values_reach_the_parts_frozen(tmp_path: Path) -> None:
    config = loaded(tmp_path, DESTINATION + "retry = { factor = 3 }\n[voi]\nheight_mm = 8\n[node]\nport = 104\n")
    assert config.destinations[0].retry == RetryPolicy(factor=3.0)
    assert config.measurement.voi.height_mm == 8.0
    assert config.receiver.port == 104
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.state = Path("/")  # type: ignore[misc]


def test_zero_can_be_set(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[node]\nquiet_period_s = 0\n[uncertainty]\nrelative = 0.0\nabsolute_mg_cm3 = 0\n")
    assert config.assembly.quiet_period_s == 0
    assert config.measurement.uncertainty.relative == 0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[tls]\ncertificate = "c.pem"', "tls.key"),
        ("[tls]\nport = 2762", "tls.port"),
        ('[tls]\nport = 11112\ncertificate = "c.pem"\nkey = "k.pem"', "tls.port"),
        ('[[senders]]\nname = "a"\nae_title = "A"\ntls_only = true', "senders[0].tls_only"),
        ('[[senders]]\nname = "a"\nae_title = "A"\nanswer_tls = true', "senders[0].answer_tls"),
    ],
)
def test_tls_needs_what_it_needs(text: str, key: str, tmp_path: Path) -> None:
    assert key in problems(tmp_path, text)


ARCHIVE = """
[priors]
archive = "pacs"
method = "move"
max_studies = 3
[[senders]]
name = "archive"
ae_title = "PACS"
"""


def test_an_archive_is_a_destination_or_has_an_address(tmp_path: Path) -> None:
    asked = loaded(tmp_path, ARCHIVE + DESTINATION).prior_archive
    assert asked is not None
    assert (asked.destination.name, asked.settings.method, asked.settings.max_studies) == ("pacs", "move", 3)
    assert "Bone density (QCT)" in asked.series_descriptions
    own = loaded(tmp_path, '[priors]\nae_title = "ARC"\nhost = "arc"\nport = 104\ntls = false').prior_archive
    assert own is not None
    assert (own.destination.ae_title, own.destination.host, own.destination.port) == ("ARC", "arc", 104)


def test_without_an_archive_none_is_asked(tmp_path: Path) -> None:
    assert loaded(tmp_path).prior_archive is None
    assert (
        loaded(tmp_path, ARCHIVE.replace("archive =", "enabled = false\narchive =", 1) + DESTINATION).prior_archive
        is None
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[priors]\narchive = "pasc"\n' + DESTINATION, "priors.archive"),
        ('[priors]\narchive = "pacs"\nhost = "x"\n' + DESTINATION, "priors.host"),
        ('[priors]\nhost = "x"\nport = 104', "priors.ae_title"),
        ('[priors]\nae_title = "A"\nhost = "x"\nport = 104\ntls = true', "priors.tls"),
        ('[priors]\narchive = "pacs"\nmethod = "move"\n' + DESTINATION, "priors.method"),
        (
            '[priors]\narchive = "web"\n[[destinations]]\nname = "web"\nkind = "stow"\nurl = "http://x"',
            "priors.archive",
        ),
    ],
)
def test_what_is_wrong_with_an_archive(text: str, key: str, tmp_path: Path) -> None:
    assert key in problems(tmp_path, text)


def test_every_problem_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
[node]
ae_titel = "X"
port = 70000
open_to_all = "yes"
[calibrations]
x = 1
[[destinations]]
name = "pacs"
ae_title = "THIS_TITLE_IS_TOO_LONG"
host = "http://pacs"
port = 104
[[destinations]]
name = "pacs"
[[rules]]
name = "a"
destinations = ["pasc"]
phantoms = ["yours"]
template = "bone"
max_slice_thickness_mm = 6
when = { all = [{ attribute = "kvpp", min = 1 }, { attribute = "kvp", matches = "1" }] }
""",
    )
    assert found == {
        "calibrations": 'is not a known table. Did you mean "calibration"?',
        "node.ae_titel": 'is not a known key. Did you mean "ae_title"?',
        "node.port": "must be at most 65535, not 70000.",
        "node.open_to_all": 'must be true or false, not the text "yes".',
        "destinations[0].ae_title": "an AE title has 1 to 16 characters, not 22.",
        "destinations[0].host": '"http://pacs" is not a host name or address (the port is a key of its own).',
        "destinations[1].name": '"pacs" is also the name of destinations[0]. Names must differ.',
        "destinations[1].ae_title": "is missing. Add it.",
        "destinations[1].host": "is missing. Add it.",
        "destinations[1].port": "is missing. Add it.",
        "rules[0].destinations": 'there is no destination "pasc". Did you mean "pacs"?',
        "rules[0].phantoms": 'there is no phantom "yours". ' + found["rules[0].phantoms"].split(". ", 1)[1],
        "rules[0].template": 'there is no template "bone". ' + found["rules[0].template"].split(". ", 1)[1],
        "rules[0].max_slice_thickness_mm": "must be at most 5, not 6.",
        "rules[0].when.all[0].attribute": '"kvpp" is not a known attribute. Did you mean "kvp"?',
        "rules[0].when.all[1]": "kvp is a number: use equals, in, min or max with numbers.",
    }


CONDITIONS = {
    '{ attribute = "series_description", matches = "(" }': "not a regular expression",
    '{ attribute = "kvp" }': "give one of equals",
    '{ attribute = "kvp", min = 1, equals = 2 }': "not several",
    '{ attribute = "kvp", min = 130, max = 120 }': "no value is at least 130 and at most 120",
    '{ attribute = "kvp", in = [] }': "empty list",
    '{ attribute = "kvp", equals = "120" }': "kvp is a number",
    '{ attribute = "kvp", min = "120" }': "must be a number",
    '{ attribute = "modality", min = 3 }': "modality is text",
    '{ attribute = "modality", equals = 3 }': "modality is text",
    '{ attribute = "contrast", present = true, missing = "accept" }': "no meaning",
    '{ attribute = "contrast", equals = "no", missing = "maybe" }': "must be 'reject' or 'accept'",
    "{ any = [] }": "must not be empty",
    "{ }": "is missing",
    "3": "must be a table with all, any, not or attribute",
    '{ not = { atribute = "kvp", min = 1 } }': 'Did you mean "attribute"?',
    "{ all = [], any = [] }": "is not a known key",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_wrong_conditions(tmp_path: Path, condition: str) -> None:
    found = problems(tmp_path, f'[[rules]]\nname = "a"\nwhen = {condition}\n')
    assert all(key.startswith("rules[0].when") for key in found)
    assert CONDITIONS[condition] in " ".join(found.values())


WRONG = {
    '[node]\nae_title = " X"\n': ("node.ae_title", "spaces at either end"),
    '[node]\nae_title = ""\n': ("node.ae_title", "1 to 16"),
    '[node]\nae_title = "A\\\\B"\n': ("node.ae_title", "backslash"),
    "[node]\nport = 104.0\n": ("node.port", "must be a whole number"),
    "[node]\nport = true\n": ("node.port", "must be a whole number"),
    '[node]\nbind = "ct1"\n': ("node.bind", "not an address"),
    "[node]\nnetwork_timeout_s = nan\n": ("node.network_timeout_s", "finite"),
    "[node]\nnetwork_timeout_s = 0\n": ("node.network_timeout_s", "more than 0"),
    '[[senders]]\nname = "a"\n': ("senders[0]", "admit anybody"),
    '[[senders]]\nname = "a"\nhost = "192.0.2.300"\n': ("senders[0].host", "is not an address"),
    '[node]\nopen_to_all = true\n[[senders]]\nname = "a"\nae_title = "A"\n': (
        "node.open_to_all",
        "anybody is admitted",
    ),
    '[senders]\nname = "a"\n': ("senders", "[[senders]]"),
    "[[node]]\nport = 1\n": ("node", "must be a table"),
    "[calibration]\nmin_sigma_ct = 2.4\n": ("calibration.min_sigma_ct", "below max_sigma_ct"),
    "[calibration]\nmin_r_squared = 1.1\n": ("calibration.min_r_squared", "at most 1"),
    "[category]\nnormal_above_mg_cm3 = 70\n": ("category.osteoporosis_below_mg_cm3", "below normal"),
    '[levels]\ntargets = ["L8"]\n': ("levels.targets[0]", "not a vertebra"),
    "[levels]\ntargets = []\n": ("levels.targets", "must not be empty"),
    '[levels]\nsubstitutes = ["L1"]\n': ("levels.substitutes", "stand in for itself"),
    '[measure]\nphantoms = ["yours"]\n': ("measure.phantoms", 'no phantom "yours"'),
    '[measure]\nphantoms = "mine"\n': ("measure.phantoms", "must be a list"),
    '[[rules]]\nname = "a"\n[[rules]]\nname = "b"\n': ("rules[1].when", "never reached"),
    '[[rules]]\nname = "a b"\n': ("rules[0].name", "letters, digits"),
    DESTINATION.replace("pacs.example", "127.0.0.1").replace("104", "11112"): ("destinations[0]", "the node itself"),
    DESTINATION + "retry = { max_delay_s = 1 }\n": ("destinations[0].retry.max_delay_s", "shorter than first_delay_s"),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_values(tmp_path: Path, text: str) -> None:
    key, message = WRONG[text]
    found = problems(tmp_path, text)
    assert list(found) == [key]
    assert message in found[key]


PHANTOM_FAULTS = {
    ('  { name = "B", density_mg_cm3 = 58.88, water_density_mg_cm3 = 1103.57 },\n', ""): ("rods", "at least two"),
    ('serial = "4541A"', 'id = "other"'): ("id", "not the name of the file"),
    ('material = "K2HPO4"', 'material = "bone"'): ("material", "must be"),
    ('name = "B"', 'name = "A"'): ("rods", "same name"),
    ("= 58.88", "= -51.83"): ("rods", "same density"),
    (", water_density_mg_cm3 = 1103.57", ""): ("rods", "all or none"),
    ('"K2HPO4"', '"CaHA"'): ("rods", "no meaning for CaHA"),
    ("rod_diameter_mm = 18", "rod_diameter_mm = 18\nrod_pitch_mm = 10"): ("rod_pitch_mm", "do not fit"),
    ("rod_diameter_mm", "rod_diameter"): ("rod_diameter", 'Did you mean "rod_diameter_mm"?'),
    ("58.88", '"58.88"'): ("rods[1].density_mg_cm3", "must be a number"),
    ('model = "Model 3"', "model = Model 3"): ("", "cannot be read"),
}


@pytest.mark.parametrize("change", PHANTOM_FAULTS)
def test_wrong_phantom_files(tmp_path: Path, change: tuple[str, str]) -> None:
    key, message = PHANTOM_FAULTS[change]
    assert change[0] in PHANTOM_FILE
    found = problems(tmp_path, '[measure]\nphantoms = ["mine"]\n', PHANTOM_FILE.replace(*change))
    assert list(found) == [key]
    assert message in found[key]


def test_phantom_beside_the_file_comes_first(tmp_path: Path) -> None:
    phantom = loaded(tmp_path).phantoms["mine"]
    assert (phantom.id, phantom.serial, phantom.rods[1].water_density_mg_cm3) == ("mine", "4541A", 1103.57)


def test_shipped_phantoms_are_right() -> None:
    files = list((shipped("config") / "phantoms").glob("*.toml"))
    assert set(load(shipped("config") / "node.toml", {}).phantoms) == {file.stem for file in files}


@pytest.mark.parametrize("file", sorted((shipped("config") / "phantoms").glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_phantom_says_what_is_known_of_its_geometry_and_whence(file: Path) -> None:
    table = tomllib.loads(file.read_text(encoding="utf-8"))

    assert table["geometry"] in ("published", "partly published", "not published")
    assert table["source"]
    assert table["nominal"]


def test_default_phantoms(tmp_path: Path) -> None:
    assert "mine" in loaded(tmp_path).default_phantoms
    assert loaded(tmp_path, '[measure]\nphantoms = ["mine"]\n').default_phantoms == ("mine",)


def test_template_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "sr_templates").mkdir()
    (tmp_path / "sr_templates" / "own.toml").write_text("")
    config = loaded(tmp_path, '[[rules]]\nname = "a"\ntemplate = "own"\n')
    assert config.templates["own"] == tmp_path / "sr_templates" / "own.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [("[node\n", "is not TOML"), ("port = yes\n", "is not TOML")],
)
def test_not_toml(tmp_path: Path, text: str, message: str) -> None:
    assert message in problems(tmp_path, text)[""]


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file, {})


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "absent.toml", {})


def test_problem_reads_as_file_key_message_remedy(tmp_path: Path) -> None:
    file = write(tmp_path, "[node]\nprot = 1\n")
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    assert refused.value.problems == (Problem(str(file), "node.prot", "is not a known key.", 'Did you mean "port"?'),)


def test_digest_changes_with_the_content_only(tmp_path: Path) -> None:
    digest = loaded(tmp_path).digest
    assert loaded(tmp_path, "# a comment\n[node]\nport = 11112\n").digest == digest
    assert loaded(tmp_path, "[node]\nport = 11113\n").digest != digest
    write(tmp_path, "", PHANTOM_FILE.replace("58.88", "58.89"))
    assert load(tmp_path / "node.toml", {}).digest != digest


def test_digest_changes_with_a_template_in_use(tmp_path: Path) -> None:
    template = tmp_path / "sr_templates" / "own.toml"
    template.parent.mkdir()
    text = '[[rules]]\nname = "a"\ntemplate = "own"\n'
    template.write_text("a = 1")
    digest = loaded(tmp_path, text).digest
    template.write_text("a = 2")
    assert loaded(tmp_path, text).digest != digest


def test_search_order(tmp_path: Path) -> None:
    given, named = tmp_path / "given.toml", tmp_path / "named.toml"
    assert locate(given, {"VBMD_NODE_CONFIG": str(named)}) == given
    assert locate(None, {"VBMD_NODE_CONFIG": str(named)}) == named
    assert locate(tmp_path, {}) == tmp_path / "node.toml"
    assert locate(None, {}) in (Path("/etc/vbmd-node/node.toml"), shipped("config") / "node.toml")


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    environment = {"VBMD_NODE_STATE": str(tmp_path / "s"), "VBMD_NODE_DATABASE": "postgresql://db/x"}
    config = loaded(tmp_path, '[node]\nstate = "/elsewhere"\n', environment)
    assert config.state == tmp_path / "s"
    assert config.receiver.spool == tmp_path / "s" / "spool"
    assert config.database == "postgresql://db/x"


def test_relative_paths(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[node]\nstate = "var"\nspool = "in"\n')
    assert config.state == tmp_path / "var"
    assert config.receiver.spool == tmp_path / "var" / "in"


def test_password_of_the_database_is_not_shown(tmp_path: Path) -> None:
    assert "geheim" not in repr(loaded(tmp_path, "", {"VBMD_NODE_DATABASE": "postgresql://u:geheim@db/x"}))


def test_rules_and_scanners_survive_json(tmp_path: Path) -> None:
    """They are kept with each job."""
    rule = Rule.model_validate({"name": "a", "when": {"not": {"attribute": "kvp", "in": [80, 100]}}})
    again: dict[str, Any] = json.loads(rule.model_dump_json(by_alias=True, exclude_none=True))
    assert Rule.model_validate(again) == rule
    assert Scanner.model_fields.keys() == {"name", "when", "phantoms"}
    assert PHANTOM.model_fields["rods"].is_required()


MODEL = '[[models]]\nname = "net"\nfile = "net.onnx"\nspacing_mm = [3, 3, 3]\nlabels = { 1 = "L1" }\n'


def test_a_model_of_the_site_reaches_the_segmenter(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[segmenter]\nbeside = ["net"]\n' + MODEL)
    (model,) = config.measurement.segmenter.models
    assert (model.name, model.file, model.labels) == ("net", str(tmp_path / "net.onnx"), {"1": "L1"})


def test_the_content_of_a_model_is_part_of_the_digest(tmp_path: Path) -> None:
    before = loaded(tmp_path, MODEL).digest
    (tmp_path / "net.onnx").write_bytes(b"weights")
    assert loaded(tmp_path, MODEL).digest != before


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('[segmenter]\nuse = "totalsegmenter"\n', "segmenter.use", 'Did you mean "totalsegmentator"?'),
        ('[segmenter]\nbeside = ["builtin"]\n', "segmenter.beside", "second opinion on itself"),
        (
            '[segmenter.totalsegmentator]\ntasks = ["vertebrae_body"]\n',
            "segmenter.totalsegmentator.tasks",
            "no task names",
        ),
        (MODEL.replace('"L1"', '"liver"'), "models[0].labels", '"liver" is nothing that is known'),
        (MODEL.replace('"L1"', '"sacrum"'), "models[0].labels", "no vertebra is named"),
        (MODEL + 'orientation = "LRS"\n', "models[0].orientation", "no orientation"),
        (MODEL + "window_hu = [100, -100]\n", "models[0].window_hu", "lower end"),
        (MODEL.replace('"net"', '"builtin"'), "models[0].name", "an engine of the node itself"),
    ],
)
def test_engines_are_checked(tmp_path: Path, text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as found:
        loaded(tmp_path, text)
    (problem,) = found.value.problems
    assert problem.key == key
    assert words in str(problem)
