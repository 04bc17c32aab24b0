"""The tables of the DICOM conformance statement that follow from the code of the door out (PS3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.uid import UID

from node.delivery import archive, proof, scu

STORED = (
    (scu.COMPREHENSIVE, "bone density report, height report, refusal"),
    (
        scu.COMPREHENSIVE_3D,
        "the same with `report.sr_class = comprehensive-3d`; as Comprehensive SR where not accepted",
    ),
    ("1.2.840.10008.5.1.4.1.1.66.4", "vertebrae and volumes of measurement"),
    ("1.2.840.10008.5.1.4.1.1.2", "sagittal, coronal and curved images"),
    ("1.2.840.10008.5.1.4.1.1.7", "key images, summary page"),
    ("1.2.840.10008.5.1.4.1.1.104.1", "summary page as PDF"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "the note that takes a report back"),
)
"""SOP classes of what the node makes."""
_ASKED = (
    (scu.VERIFICATION, "SCU", "destinations are tested"),
    (proof.FIND, "SCU", 'proof of delivery (`proof = ["find"]`), at level IMAGE; earlier reports (`priors.archive`)'),
    (proof.COMMITMENT, "SCU", 'proof of delivery (`proof = ["commitment"]`)'),
    (archive.GET, "SCU", "earlier reports, `priors.method = get`, with the SCP role for the SR and Key Object classes"),
    (archive.MOVE, "SCU", "earlier reports, `priors.method = move`, to this node"),
)
_ANSWERS = (
    ((0x0000,), "stored"),
    ((0xB000, 0xB006, 0xB007), "stored with a warning: kept and shown"),
    (
        (0xA700, 0xA900, 0xC000, 0x0122, 0x0124),
        "refused: shown, and sent again until `retry.give_up_after_s` has passed",
    ),
)


def tables() -> dict[str, str]:
    """Return each table as Markdown, by the name that docs/conformance.md calls it."""
    stored = ((UID(uid).name, uid, what) for uid, what in STORED)
    asked = ((UID(uid).name, str(uid), role, what) for uid, role, what in _ASKED)
    return {
        "stored": _table(("SOP class", "UID", "what"), stored),
        "asked": _table(("SOP class", "UID", "role", "when"), asked),
        "answers": _table(("C-STORE status, for example", "taken as"), _judged()),
    }


def _judged() -> Iterator[tuple[str, str]]:
    for statuses, meaning in _ANSWERS:
        for status in statuses:
            answer = scu.judge(status)
            said = "refused" if not answer.accepted else "stored with a warning" if answer.warning else "stored"
            if not meaning.startswith(said):
                raise AssertionError(f"{status:04X} is {said}, not {meaning}")
        yield ", ".join(f"{status:04X}" for status in statuses), meaning


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)
