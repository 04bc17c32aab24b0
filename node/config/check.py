"""What no single table can tell: names that must exist, names given twice, values that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.config.rules import AllOf, Rule
from node.config.tables import Table, suggestion
from node.errors import Problem

Rows = Sequence[tuple[int, Any]]
"""(position in the file, table) of the rows that are right in themselves."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names that may be referred to, also those of rows that are wrong in other respects."""

    destinations: frozenset[str]
    phantoms: frozenset[str]
    templates: frozenset[str]

    @classmethod
    def of(cls, raw: Mapping[str, Any], phantoms: Mapping[str, Any], templates: Mapping[str, Any]) -> Names:
        named = [row.get("name") for _, row in _rows(raw, "destinations")]
        return cls(
            frozenset(name for name in named if isinstance(name, str)), frozenset(phantoms), frozenset(templates)
        )


def everything(
    file: str, raw: Mapping[str, Any], tables: Mapping[str, Any], arrays: Mapping[str, Rows], names: Names
) -> list[Problem]:
    """All such problems of a configuration; names are looked up in ``raw``, so that rows with other errors count."""
    checks = (
        _twice(raw, arrays),
        _references(raw, names),
        _senders(tables["node"], arrays["senders"]),
        _tls(tables, arrays),
        _destinations(tables["node"], tables["tls"], arrays["destinations"]),
        _archive(tables, raw, arrays),
        _limits(tables),
        _outputs(arrays),
        _images(tables["reformat"]),
        _engines(tables["segmenter"], raw, arrays["models"]),
        _unreachable("scanners", arrays["scanners"]),
        _unreachable("rules", arrays["rules"]),
    )
    return [Problem(file, *problem) for check in checks for problem in check]


Found = Iterator[tuple[str, str, str]]
"""(key, message, remedy)."""


def _rows(raw: Mapping[str, Any], array: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = raw.get(array)
    if isinstance(rows, list):
        yield from ((index, row) for index, row in enumerate(rows) if isinstance(row, dict))


def kinds(file: str, raw: Mapping[str, Any], kind_of: Mapping[str, str]) -> list[Problem]:
    """QA phantoms where patients lie, and calibration phantoms where a QA phantom is meant."""
    measure, qa = raw.get("measure"), raw.get("qa")
    used = [("measure.phantoms", _texts(measure, "phantoms"))] if isinstance(measure, dict) else []
    for array in ("scanners", "rules"):
        used += [(f"{array}[{index}].phantoms", _texts(row, "phantoms")) for index, row in _rows(raw, array)]
    found = [
        Problem(file, key, f'"{name}" is a QA phantom, no standard under a patient.', "Name it in qa.phantoms.")
        for key, names in used
        for name in names
        if kind_of.get(name) == "qa"
    ]
    for name in _texts(qa, "phantoms") if isinstance(qa, dict) else ():
        if kind_of.get(name) == "patient":
            found.append(Problem(file, "qa.phantoms", f'"{name}" is no QA phantom.', 'QA phantoms say kind = "qa".'))
    return found


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    value = row.get(key)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _twice(raw: Mapping[str, Any], arrays: Iterable[str]) -> Found:
    for array in arrays:
        first: dict[str, int] = {}
        for index, row in _rows(raw, array):
            name = row.get("name")
            if not isinstance(name, str):
                continue
            if name in first:
                yield (
                    f"{array}[{index}].name",
                    f'"{name}" is also the name of {array}[{first[name]}].',
                    "Names must differ.",
                )
            first.setdefault(name, index)


def _references(raw: Mapping[str, Any], names: Names) -> Found:
    measure = raw.get("measure")
    if isinstance(measure, dict):
        yield from _unknown("measure.phantoms", "phantom", _texts(measure, "phantoms"), names.phantoms)
    qa = raw.get("qa")
    if isinstance(qa, dict):
        yield from _unknown("qa.phantoms", "phantom", _texts(qa, "phantoms"), names.phantoms)
    for index, scanner in _rows(raw, "scanners"):
        yield from _unknown(f"scanners[{index}].phantoms", "phantom", _texts(scanner, "phantoms"), names.phantoms)
    for index, rule in _rows(raw, "rules"):
        key = f"rules[{index}]"
        template = rule.get("template", Rule.model_fields["template"].default)
        yield from _unknown(f"{key}.phantoms", "phantom", _texts(rule, "phantoms"), names.phantoms)
        yield from _unknown(f"{key}.destinations", "destination", _texts(rule, "destinations"), names.destinations)
        if isinstance(template, str):
            yield from _unknown(f"{key}.template", "template", [template], names.templates)


def _unknown(key: str, kind: str, wanted: Iterable[str], known: frozenset[str]) -> Found:
    for name in wanted:
        if name not in known:
            yield key, f'there is no {kind} "{name}".', suggestion(name, known)


def _senders(node: Any, rows: Rows) -> Found:
    for index, sender in rows:
        if sender.ae_title is None and sender.host is None:
            yield f"senders[{index}]", "this would admit anybody.", "Give ae_title, host, or both."
    if node.open_to_all and rows:
        yield (
            "node.open_to_all",
            "senders are listed, but anybody is admitted.",
            "Set it to false, or remove the senders.",
        )


def _tls(tables: Mapping[str, Any], arrays: Mapping[str, Rows]) -> Found:
    node, tls = tables["node"], tables["tls"]
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, key) and not getattr(tls, other):
            yield f"tls.{other}", f"is missing beside tls.{key}.", "Give both, or neither."
    if tls.certificate is None:
        if tls.port is not None:
            yield "tls.port", "there is no certificate to listen with.", "Give tls.certificate and tls.key."
        for index, sender in arrays["senders"]:
            if sender.answer_tls:
                yield f"senders[{index}].answer_tls", "there is no certificate.", "Give tls.certificate and tls.key."
    if tls.port == node.port:
        yield "tls.port", "is also node.port.", "TLS needs a port of its own; 2762 is registered for it."
    for index, sender in arrays["senders"]:
        if sender.tls_only and tls.port is None:
            yield f"senders[{index}].tls_only", "the node does not listen for TLS.", "Give tls.port."


def _destinations(node: Any, tls: Any, rows: Rows) -> Found:
    for index, destination in rows:
        yield from _address(f"destinations[{index}]", destination, tls)
        here = destination.host in ("localhost", "127.0.0.1", "::1", node.bind) and destination.port == node.port
        if here:
            yield f"destinations[{index}]", "this is the node itself.", "Give the PACS's host and port."
        if destination.retry.max_delay_s < destination.retry.first_delay_s:
            yield (
                f"destinations[{index}].retry.max_delay_s",
                "is shorter than first_delay_s.",
                "Delays grow from first_delay_s to max_delay_s.",
            )


def _address(key: str, destination: Any, tls: Any) -> Found:
    if destination.kind == "stow":
        if destination.url is None:
            yield f"{key}.url", "is missing.", "Give the root of the DICOMweb service."
        if "commitment" in destination.proof:
            yield f"{key}.proof", "DICOMweb has no storage commitment.", 'Use ["find"]: a QIDO-RS search.'
        return
    for name in ("ae_title", "host", "port"):
        if not getattr(destination, name):
            yield f"{key}.{name}", "is missing.", "Add it."
    for name in ("url", "user", "password_variable"):
        if getattr(destination, name) is not None:
            yield f"{key}.{name}", "has no meaning for C-STORE.", 'Set kind = "stow", or remove it.'
    if destination.tls and tls.certificate is None:
        yield f"{key}.tls", "the node has no certificate.", "Give tls.certificate and tls.key."


def _archive(tables: Mapping[str, Any], raw: Mapping[str, Any], arrays: Mapping[str, Rows]) -> Found:
    """Who is asked for earlier reports: a destination, or an address of its own."""
    priors, tls = tables["priors"], tables["tls"]
    own = {key: getattr(priors, key) for key in ("ae_title", "host", "port")}
    asked = own["ae_title"]
    if priors.archive is not None:
        given = [key for key, value in own.items() if value is not None]
        if given:
            yield f"priors.{given[0]}", "an archive is named already.", "Give archive, or an address, not both."
        names = {row.get("name") for _, row in _rows(raw, "destinations")}
        named = [one for _, one in arrays["destinations"] if one.name == priors.archive]
        yield from _unknown("priors.archive", "destination", [priors.archive], frozenset(map(str, names)))
        if named and named[0].kind == "stow":
            yield "priors.archive", "DICOMweb has no C-FIND.", "Name a DICOM destination, or give an address."
        asked = named[0].ae_title if named else None
    elif any(value is not None for value in own.values()):
        for key, value in own.items():
            if value is None:
                yield f"priors.{key}", "is missing.", "An archive has an AE title, a host and a port."
        if priors.tls and tls.certificate is None:
            yield "priors.tls", "the node has no certificate.", "Give tls.certificate and tls.key."
    if priors.method == "move" and asked is not None and not tables["node"].open_to_all:
        senders = [one for _, one in arrays["senders"]]
        if not any(one.ae_title in (None, asked) for one in senders):
            yield "priors.method", f"{asked} is no sender: its C-STORE would be rejected.", "List it in [[senders]]."


def _limits(tables: Mapping[str, Any]) -> Found:
    calibration, category, levels = tables["calibration"], tables["category"], tables["levels"]
    if calibration.min_sigma_ct >= calibration.max_sigma_ct:
        yield "calibration.min_sigma_ct", "must be below max_sigma_ct.", ""
    if category.osteoporosis_below_mg_cm3 >= category.normal_above_mg_cm3:
        yield "category.osteoporosis_below_mg_cm3", "must be below normal_above_mg_cm3.", ""
    if tables["suitability"].min_outlier_hu > tables["suitability"].max_outlier_hu:
        yield "suitability.min_outlier_hu", "is more than max_outlier_hu.", "Make it smaller."
    if not levels.targets:
        yield "levels.targets", "must not be empty.", 'The usual targets are ["L1", "L2"].'
    both = [level for level in levels.substitutes if level in levels.targets]
    if both:
        yield "levels.substitutes", f"{', '.join(both)} cannot stand in for itself.", "Remove it."


def _unreachable(array: str, rows: Rows) -> Found:
    """Rows behind one that takes at least the same series: the first match counts."""
    for position, (index, row) in enumerate(rows):
        for earlier_index, earlier in rows[:position]:
            if _takes_all_of(earlier, row):
                yield (
                    f"{array}[{index}].when",
                    f'is never reached: {array}[{earlier_index}] ("{earlier.name}") takes all of the same series.',
                    "Change the order, or the conditions.",
                )
                break


def _takes_all_of(earlier: Table, later: Table) -> bool:
    a, b = getattr(earlier, "when"), getattr(later, "when")  # noqa: B009
    if not (a == b or (isinstance(a, AllOf) and not a.all)):
        return False
    if isinstance(earlier, Rule) and isinstance(later, Rule):
        wider = earlier.max_slice_thickness_mm >= later.max_slice_thickness_mm
        return wider and earlier.allow_derived >= later.allow_derived and earlier.priority >= later.priority
    return True


def _images(reformat: Any) -> Found:
    if reformat.least_images > reformat.most_images:
        yield "reformat.least_images", "is more than most_images.", "Make it smaller."
    if reformat.curved_images % 2 == 0:
        yield "reformat.curved_images", "must be odd: one image in the middle, as many at either side.", "Add one."


def _engines(segmenter: Any, raw: Mapping[str, Any], models: Rows) -> Found:
    """Engines must exist, and some task of TotalSegmentator must name vertebrae."""
    own = ("builtin", "totalsegmentator")
    known = {*own, *(str(row.get("name")) for _, row in _rows(raw, "models"))}
    for index, row in _rows(raw, "models"):
        if row.get("name") in own:
            yield f"models[{index}].name", f'"{row["name"]}" is an engine of the node itself.', "Choose another name."
    for key, names in (("use", (segmenter.use,)), ("beside", segmenter.beside)):
        for name in names:
            if name not in known:
                yield f"segmenter.{key}", f'there is no engine "{name}".', suggestion(name, known)
    if segmenter.use in segmenter.beside or len(set(segmenter.beside)) < len(segmenter.beside):
        yield "segmenter.beside", "an engine cannot give a second opinion on itself.", "Name each engine once."
    if set(segmenter.totalsegmentator.tasks) == {"vertebrae_body"}:
        yield "segmenter.totalsegmentator.tasks", "no task names vertebrae.", "Add total or vertebrae_pp."
    for index, model in models:
        if model.window_hu[0] >= model.window_hu[1]:
            yield f"models[{index}].window_hu", "the lower end is not below the upper.", "Give [lower, upper]."


_STAND_ON = {"heights": "sagittal", "bone-density": "segmentation"}
"""A report and the objects that it refers to."""


def _outputs(arrays: Mapping[str, Rows]) -> Found:
    """A report is useless, or refers to what is not there, without the images it is drawn on."""
    for index, rule in arrays["rules"]:
        if "heights" in rule.outputs and "sagittal" not in rule.outputs:
            yield (
                f"rules[{index}].outputs",
                "heights are drawn on the sagittal images, which are not made.",
                'Add "sagittal", or remove "heights".',
            )
    for index, destination in arrays["destinations"]:
        for report, needed in _STAND_ON.items():
            made = any(needed in rule.outputs for _, rule in arrays["rules"] if destination.name in rule.destinations)
            if destination.outputs and report in destination.outputs and needed not in destination.outputs and made:
                yield (
                    f"destinations[{index}].outputs",
                    f'"{report}" refers to "{needed}", which is not sent there.',
                    f'Add "{needed}".',
                )
