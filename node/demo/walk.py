"""The demo, step by step: PACS up, node up, scanner sends, report arrives, report is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from node import report, show
from node.config import Config, load
from node.delivery import scu
from node.demo import pacs
from node.dicom import scan
from node.domain.instance import Series
from node.domain.settings import Destination
from node.errors import NodeError
from node.ledger import Ledger
from node.ledger.records import SeriesStatus
from node.ledger.states import State
from node.synthetic import dicom, torso
from node.synthetic.presets import presets

SCANNER = "DEMO-SCANNER"
ENDED = frozenset({State.IGNORED, State.REFUSED, State.MEASURED, State.DELIVERED, State.FAILED})
LIMIT_S = 900.0

CONFIGURATION = """\
# Written by the demo: a node on this machine alone.
[node]
bind = "127.0.0.1"
port = {port}
state = "{state}"
quiet_period_s = 3.0
sweep_interval_s = 0.5

[[senders]]
name = "scanner"
ae_title = "{scanner}"
host = "127.0.0.1"

[[destinations]]
name = "pacs"
ae_title = "{pacs_title}"
host = "127.0.0.1"
port = {pacs_port}

[[rules]]
name = "trunk"
when = {{ attribute = "modality", equals = "CT" }}
destinations = ["pacs"]
max_slice_thickness_mm = 5.0
"""


def run(study: Path | None, out_dir: Path, console: Console) -> bool:
    """Walk a study through a node; True when its report came back from the PACS and was read."""
    out_dir = out_dir.resolve()
    for part in ("pacs", "node", "study", "unpacked", "report"):
        shutil.rmtree(out_dir / part, ignore_errors=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    series = _study(study, out_dir, console)
    archive = pacs.start(out_dir / "pacs")
    try:
        console.print(f"PACS: {archive.name}, listening on 127.0.0.1:{archive.port}")
        configuration = _configuration(out_dir, archive)
        with _node(configuration, out_dir, console) as node:
            _send(series, configuration, console)
            rows = _follow(series, configuration, node, console)
        return _show(rows, configuration, archive, out_dir, console)
    finally:
        archive.close()


def _study(study: Path | None, out_dir: Path, console: Console) -> tuple[Series, ...]:
    if study is None:
        console.print("Study: making a synthetic abdomen of known density ...")
        case = torso.make(presets(matrix=256, spacing_mm=2.0)["abdomen-mindways"])
        dicom.write(case, out_dir / "study")
        study = out_dir / "study"
    found, skipped = scan.collect([study], out_dir / "unpacked")
    for one in skipped:
        console.print(f"  left out {one.name}: {one.message}", markup=False)
    if not found:
        raise NodeError(f"There is no DICOM in {study}.")
    images = sum(len(one.instances) for one in found)
    console.print(f"Study: {images} objects in {len(found)} series from {study}", markup=False)
    return found


def _configuration(out_dir: Path, archive: pacs.Pacs) -> Config:
    folder = out_dir / "node"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    path.write_text(
        CONFIGURATION.format(
            port=pacs.free_port(),
            state=folder / "state",
            scanner=SCANNER,
            pacs_title=pacs.AE_TITLE,
            pacs_port=archive.port,
        ),
        encoding="utf-8",
    )
    return load(path)


@contextmanager
def _node(configuration: Config, out_dir: Path, console: Console) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``vbmd-node serve`` as a process of its own."""
    log = out_dir / "node" / "node.log"
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "node", "serve", "--config", str(configuration.file)]
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        _until_listening(configuration, process, log)
        console.print(f"Node: {configuration.receiver.ae_title} on 127.0.0.1:{configuration.receiver.port}, log {log}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_listening(configuration: Config, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if scu.echo(_itself(configuration), SCANNER):
            return
        time.sleep(0.2)
    raise NodeError(f"The node did not start; see {log}.")


def _itself(configuration: Config) -> Destination:
    receiver = configuration.receiver
    return Destination("node", receiver.ae_title, "127.0.0.1", receiver.port)


def _send(series: Sequence[Series], configuration: Config, console: Console) -> None:
    """Store the study into the node as a scanner would."""
    for one in series:
        parcels = [scu.Parcel(i.path, i.header.sop_class_uid, i.header.sop_instance_uid) for i in one.instances]
        begun = time.monotonic()
        with scu.association(_itself(configuration), SCANNER, parcels) as link:
            answers = [link.store(parcel) for parcel in parcels]
        stored = sum(answer.accepted for answer in answers)
        console.print(f"Scanner: {stored} of {len(parcels)} objects stored in {time.monotonic() - begun:.1f} s")
        for answer in answers:
            if not answer.accepted:
                console.print(f"  refused: {answer.comment}", markup=False)
                break


def _follow(
    series: Sequence[Series], configuration: Config, node: subprocess.Popen[bytes], console: Console
) -> list[SeriesStatus]:
    """Show every change of state until all series have come to an end."""
    ledger = Ledger(configuration.database)
    seen: dict[str, str] = {}
    begun = time.monotonic()
    try:
        while True:
            rows = ledger.status()
            for row in rows:
                line = f"{row.state.value}: {row.reason}: {row.message}"
                if seen.get(row.series_key) != line:
                    seen[row.series_key] = line
                    what = row.description or row.modality or ""
                    console.print(
                        f"Node: {time.monotonic() - begun:5.1f} s  {what} ({row.instances})  {line}", markup=False
                    )
            if len(rows) >= len(series) and all(row.state in ENDED for row in rows):
                return rows
            if node.poll() is not None:
                raise NodeError(f"The node ended with status {node.returncode}; see its log.")
            if time.monotonic() - begun > LIMIT_S:
                raise NodeError(f"The study did not come to an end within {LIMIT_S:.0f} s.")
            time.sleep(0.2)
    finally:
        ledger.close()


def _show(
    rows: Sequence[SeriesStatus], configuration: Config, archive: pacs.Pacs, out_dir: Path, console: Console
) -> bool:
    """Read the reports back from the PACS and print them."""
    folder = out_dir / "report"
    folder.mkdir(parents=True, exist_ok=True)
    reports = archive.reports()
    console.print(f"PACS: holds {archive.count()} objects, {len(reports)} of them structured reports\n")
    for path in reports:
        kept = folder / path.name
        shutil.copyfile(path, kept)
        density = report.is_bone_density(kept)
        console.print(show.report_table(report.summary(kept)) if density else show.heights_table(report.levels(kept)))
        console.print(f"report: {kept}\n", markup=False)
    for row in rows:
        if row.job_id:
            for picture in sorted((configuration.state / "jobs" / row.job_id).glob("*.png")):
                console.print(f"picture: {shutil.copyfile(picture, folder / picture.name)}", markup=False)
    if not reports:
        console.print("No report arrived: every series was ignored or its delivery failed, see above.", style="red")
    return bool(reports)
