"""Senders of the chaos suite: DCMTK's dcmsend and storescu, and what was acknowledged to them."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from pathlib import Path

from node.config import Config
from tests.chaos.site import SCANNER
from tests.intake.objects import ct_slice, write
from tests.peers import peer

SLICES, SPACING_MM = 12, 3.0
_SENDING = re.compile(r"Sending file: (\S+)|Sending C-STORE Request \(MsgID (\d+)")
_ANSWER = re.compile(r"Received (?:C-STORE|Store) Response \((.*)\)")


def study(folder: Path, number: int) -> list[tuple[Path, str]]:
    """Write a tiny CT study, with enough slices to be eligible; return its files and their SOP Instance UIDs."""
    made = []
    for index in range(SLICES):
        position = [0.0, 0.0, SPACING_MM * index]
        dataset = ct_slice(number, 1, index, ImagePositionPatient=position, SliceThickness=SPACING_MM)
        made.append((write(dataset, folder / f"s{number}-{index}.dcm"), str(dataset.SOPInstanceUID)))
    return made


class Scanner:
    """Sends studies until every file is acknowledged; an operator would press the button again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.acknowledged: dict[str, Path] = {}
        """By SOP Instance UID: the file."""
        self.attempts = 0
        self.answers: Counter[str] = Counter()

    def send(self, files: list[tuple[Path, str]], program: str, limit_s: float = 600.0) -> None:
        """Send until all are acknowledged. Raises ``TimeoutError``."""
        deadline = time.monotonic() + limit_s
        while missing := [one for one in files if one[1] not in self.acknowledged]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} files were not acknowledged within {limit_s:.0f} s")
            self._once(missing, program)
            time.sleep(0.5)

    def _once(self, missing: list[tuple[Path, str]], program: str) -> None:
        """One association. Both programs send in the order of their arguments and print each answer."""
        self.attempts += 1
        more = ["-v", "-to", "5", "-td", "15", "--no-halt"] + (["--no-uid-checks"] if program == "dcmsend" else [])
        receiver = self._config.receiver
        command = [peer(program), *more, "-aet", SCANNER, "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)]
        sent = subprocess.run(
            [*command, *(str(file) for file, _ in missing)], capture_output=True, text=True, timeout=120
        )
        current: tuple[Path, str] | None = None
        waiting = iter(missing)
        for line in (sent.stdout + sent.stderr).splitlines():
            if _SENDING.search(line):
                current = next(waiting, None)
            elif current is not None and (answer := _ANSWER.search(line)):
                self.answers[answer[1]] += 1
                if answer[1] == "Success":
                    self.acknowledged[current[1]] = current[0]
                current = None
