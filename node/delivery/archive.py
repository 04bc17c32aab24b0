"""Fetching a patient's earlier reports from an archive: C-FIND, then C-GET or C-MOVE (PS3.4 annex C, Study Root).

Studies are asked for by Patient ID, their series and objects level by level. Every answer is compared with the patient
here, too: archives may ignore a key or take a character of it for a wildcard.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import evt

from node.delivery.proof import FIND
from node.delivery.scu import COMPREHENSIVE, COMPREHENSIVE_3D, Context, Unreachable, link_to
from node.domain.settings import PriorArchive, TlsSettings

GET = UID("1.2.840.10008.5.1.4.1.2.2.3")
MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
REPORTS = (UID(COMPREHENSIVE), UID(COMPREHENSIVE_3D), UID("1.2.840.10008.5.1.4.1.1.88.59"))
"""What a report of this node may be stored as, and the note (key object selection) that takes one back."""
MOST_ANSWERS = 2000
"""More to one question: the archive did not heed the key."""
_DAYS_A_YEAR = 365.25
_PENDING = (0xFF00, 0xFF01)
_SUB_OPERATIONS_FAILED = 0xB000
_OUT_OF_TIME = 0xA700
_POLL_S = 0.1

Found = Callable[[Sequence[str]], Mapping[str, Path]]
"""Where objects that the node has received lie, by SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is asked for, and the study that is being measured."""

    patient_id: str
    issuer: str
    birth_date: str
    study_instance_uid: str
    study_date: date | None

    def is_in(self, answer: Dataset) -> bool:
        """Whether an answer is of this patient, as far as it tells: an issuer that one side lacks is no difference."""
        issuer, born = _text(answer, "IssuerOfPatientID"), _text(answer, "PatientBirthDate")
        same_issuer = not issuer or not self.issuer or issuer == self.issuer
        return _text(answer, "PatientID") == self.patient_id and same_issuer and born in ("", self.birth_date)


def patient_of(path: Path) -> Patient | None:
    """The patient of an image; ``None`` without Patient ID or birth date: an ID alone is not unique."""
    keywords = ["PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SpecificCharacterSet", *keywords])
        identifier, issuer, born, study, day = (_text(header, keyword) for keyword in keywords)
    except (OSError, InvalidDicomError):
        return None
    return Patient(identifier, issuer, born, study, _day(day)) if identifier and born else None


def fetch(
    archive: PriorArchive,
    own_ae_title: str,
    tls: TlsSettings | None,
    patient: Patient,
    folder: Path,
    found: Found,
    cancelled: threading.Event,
) -> bool:
    """Put the patient's reports into ``folder``, the latest study first; return whether all of them came.

    Raises ``Unreachable`` when the archive does not answer. Nothing is written any more once ``cancelled`` is set.
    """
    whole = True
    wanted: set[str] = set()

    def on_store(event: evt.Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        if cancelled.is_set() or uid not in wanted:
            return _OUT_OF_TIME
        _write(folder, uid, event.encoded_dataset())
        return 0x0000

    getting = archive.settings.method == "get"
    contexts: list[Context] = [(FIND, None), (GET if getting else MOVE, None)]
    contexts += [(one, None) for one in REPORTS] if getting else []
    takes = REPORTS if getting else ()
    with link_to(archive.destination, own_ae_title, contexts, tls, [(evt.EVT_C_STORE, on_store)], takes) as link:
        with_reports = 0
        for study in _studies(link, patient, archive):
            reports = [one for series in _series(link, study, archive) for one in _objects(link, study, series)]
            with_reports += bool(reports)
            for query, uid in reports:
                wanted.add(uid)
                if getting:
                    _retrieve(link.send_c_get(query, GET))
                else:
                    _retrieve(link.send_c_move(query, own_ae_title, MOVE))
                    _copy(uid, found, folder, archive.settings.time_limit_s, cancelled)
                whole = whole and _path(folder, uid).is_file()
            if with_reports == archive.settings.max_studies or cancelled.is_set():
                break
    return whole and not cancelled.is_set()


def _studies(link: Any, patient: Patient, archive: PriorArchive) -> list[str]:
    """Study Instance UIDs of the patient's other studies, the latest first."""
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = patient.patient_id
    query.StudyDate = _range(patient.study_date, archive.settings.max_age_years)
    for keyword in ("StudyInstanceUID", "IssuerOfPatientID", "PatientBirthDate", "ModalitiesInStudy"):
        setattr(query, keyword, "")
    others: dict[str, str] = {}
    for answer in _ask(link, query):
        modalities = answer.get("ModalitiesInStudy") or "SR"
        uid = _text(answer, "StudyInstanceUID")
        if uid and uid != patient.study_instance_uid and patient.is_in(answer) and "SR" in modalities:
            others[uid] = _text(answer, "StudyDate")
    return sorted(others, key=lambda uid: others[uid], reverse=True)


def _range(until: date | None, years: float) -> str:
    if until is None:
        return ""
    try:
        since = until - timedelta(days=years * _DAYS_A_YEAR)
    except OverflowError:
        return f"-{until:%Y%m%d}"
    return f"{since:%Y%m%d}-{until:%Y%m%d}"


def _series(link: Any, study: str, archive: PriorArchive) -> Iterator[Dataset]:
    """Series of a study that may hold reports of this node, or notes that take them back."""
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study
    query.SeriesInstanceUID = query.Modality = query.SeriesDescription = ""
    for answer in _ask(link, query):
        description = _text(answer, "SeriesDescription")
        ours = not description or description in archive.series_descriptions
        if answer.get("Modality") == "KO" or (answer.get("Modality") == "SR" and ours):
            yield answer


def _objects(link: Any, study: str, series: Dataset) -> Iterator[tuple[Dataset, str]]:
    """What retrieves each object of a series that is of a wanted class, and its SOP Instance UID."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = study, _text(series, "SeriesInstanceUID")
    query.SOPInstanceUID = query.SOPClassUID = ""
    for answer in _ask(link, query):
        uid, sop_class = _text(answer, "SOPInstanceUID"), _text(answer, "SOPClassUID")
        if uid and (not sop_class or sop_class in REPORTS):
            one = Dataset()
            one.QueryRetrieveLevel = "IMAGE"
            one.StudyInstanceUID, one.SeriesInstanceUID = query.StudyInstanceUID, query.SeriesInstanceUID
            one.SOPInstanceUID = uid
            yield one, uid


def _ask(link: Any, query: Dataset) -> list[Dataset]:
    answers: list[Dataset] = []
    try:
        for status, answer in link.send_c_find(query, FIND):
            if "Status" not in status:
                raise Unreachable("the archive did not answer a C-FIND")
            if status.Status not in _PENDING:
                if status.Status != 0x0000:
                    raise Unreachable(f"the archive answered a C-FIND with {status.Status:04X}")
                break
            if len(answers) == MOST_ANSWERS:
                raise Unreachable("the archive answers a C-FIND without heeding its keys")
            if answer is not None:
                answers.append(answer)
    except (ValueError, RuntimeError) as error:
        raise Unreachable("the archive takes no C-FIND") from error
    return answers


def _retrieve(statuses: Iterator[tuple[Dataset, Dataset | None]]) -> None:
    """See a C-GET or C-MOVE to its end; what did not come is seen by its absence."""
    try:
        for status, _ in statuses:
            if "Status" not in status:
                raise Unreachable("the archive did not answer a retrieval")
            if status.Status not in (*_PENDING, 0x0000, _SUB_OPERATIONS_FAILED):
                raise Unreachable(f"the archive answered a retrieval with {status.Status:04X}")
    except (ValueError, RuntimeError) as error:
        raise Unreachable("the archive takes no retrieval of this kind") from error


def _copy(uid: str, found: Found, folder: Path, limit_s: float, cancelled: threading.Event) -> None:
    """Copy what came in at the node's own door; the receiver may be another process, a moment behind."""
    deadline = time.monotonic() + min(limit_s, 5.0)
    while time.monotonic() < deadline and not cancelled.wait(_POLL_S):
        path = found([uid]).get(uid)
        if path is not None:
            partial = _path(folder, uid).with_suffix(".part")
            shutil.copyfile(path, partial)
            partial.rename(_path(folder, uid))
            return


def _write(folder: Path, uid: str, encoded: bytes) -> None:
    partial = _path(folder, uid).with_suffix(".part")
    partial.write_bytes(encoded)
    partial.rename(_path(folder, uid))


def _path(folder: Path, uid: str) -> Path:
    """The name comes from outside: it becomes a digest."""
    return folder / f"{hashlib.sha256(uid.encode()).hexdigest()[:32]}.dcm"


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip()
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError):
        return ""


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
