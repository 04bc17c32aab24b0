"""How fast the node receives, durably, beside DCMTK's storescp and Orthanc, in one run.

    python -m tests.benchmarks.receive [--slices 200] [--rounds 3] [--associations 1]

CT slices (512², explicit little endian) are sent to each server in turn, in rounds. storescp
syncs nothing; Orthanc (its default) and the node sync each file before they answer, the node its ledger too. One client
sends and acknowledges at once; the other is storescu as shipped, which does not, like most scanners.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pynetdicom import AE

from tests.intake.objects import ct_slice, write
from tests.peers import peer

_SIZE = 512
_Figures = dict[tuple[str, str], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--associations", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=None)
    arguments = parser.parse_args()
    rates: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    costs: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    study = 0
    with tempfile.TemporaryDirectory(prefix="vbmd-receive-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        servers = {
            name: stack.enter_context(start(folder / name))
            for name, start in _SERVERS.items()
            if arguments.only is None or name in arguments.only
        }
        for _ in range(arguments.rounds):
            for client in _CLIENTS:
                for name, port in servers.items():
                    study += 1
                    files = _slices(folder / f"study-{study}", study, arguments.slices)
                    begun_s = _cpu_s(_PIDS[name])
                    rates[name, client].append(_CLIENTS[client](files, port, arguments.associations))
                    costs[name, client].append((_cpu_s(_PIDS[name]) - begun_s) / len(files) * 1000)
    _report(rates, costs, arguments.slices, arguments.rounds, arguments.associations)


def _slices(folder: Path, study: int, count: int) -> list[Path]:
    return [write(ct_slice(1000 + study, 1, i, size=_SIZE), folder / f"{i:04d}.dcm") for i in range(count)]


def _by_storescu(files: list[Path], port: int, associations: int) -> float:
    """Return objects per second of DCMTK's client, its start included."""
    begun = time.monotonic()
    command = [peer("storescu"), "-aec", "BENCH", "127.0.0.1", str(port)]
    clients = [subprocess.Popen([*command, *map(str, share)]) for share in _shares(files, associations)]
    if any(process.wait() for process in clients):
        raise SystemExit("storescu failed")
    return len(files) / (time.monotonic() - begun)


def _by_bare_sender(files: list[Path], port: int, associations: int) -> float:
    """Return objects per second from the first association request to the last release."""
    command = [sys.executable, "-m", "tests.benchmarks.sender", "127.0.0.1", str(port)]
    clients = [
        subprocess.Popen([*command, *map(str, share)], stdout=subprocess.PIPE, text=True)
        for share in _shares(files, associations)
    ]
    reports = [process.communicate()[0].split() for process in clients]
    if sum(int(report[0]) for report in reports) != len(files):
        raise SystemExit("not every object was stored")
    return len(files) / (max(float(report[2]) for report in reports) - min(float(report[1]) for report in reports))


def _shares(files: list[Path], associations: int) -> list[list[Path]]:
    return [files[i::associations] for i in range(associations)]


@contextmanager
def _storescp(folder: Path, *options: str) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = _free_port()
    with _process([peer("storescp"), "-aet", "BENCH", "--fork", "-od", str(folder), *options, str(port)], port, folder):
        yield port


@contextmanager
def _bit_preserving(folder: Path) -> Iterator[int]:
    with _storescp(folder, "+B") as port:
        yield port


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = _free_port()
    configuration = {
        "DicomAet": "BENCH",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with _process([peer("Orthanc"), str(folder / "orthanc.json")], port, folder):
        yield port


@contextmanager
def _node(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = _free_port()
    with _process([sys.executable, "-m", "tests.benchmarks.receiver", str(folder), str(port)], port, folder):
        yield port


@contextmanager
def _process(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _PIDS[folder.name] = process.pid
        try:
            _wait_until_up(port)
            yield
        finally:
            _PEAK_MB[folder.name] = _peak_mb(process.pid)
            process.terminate()
            process.wait(timeout=30)


def _peak_mb(pid: int) -> float:
    """Largest resident memory so far of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024 / 1e6


def _cpu_s(pid: int) -> float:
    """Processor time so far of a process and of its children that have ended (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(one) for one in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _wait_until_up(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        link = AE(ae_title="BENCH")
        link.add_requested_context("1.2.840.10008.1.1")
        association = link.associate("127.0.0.1", port, ae_title="BENCH")
        if association.is_established:
            association.release()
            return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _report(rates: _Figures, costs: _Figures, slices: int, rounds: int, associations: int) -> None:
    print(f"{slices} slices of {_SIZE}², {associations} association(s), median of {rounds} rounds:")
    print("objects per second, and milliseconds of processor time of the server for each")
    print(f"{'server':<42}" + "".join(f"{client:>18}{'ms':>8}" for client in _CLIENTS) + f"{'peak MB':>10}")
    for name in dict.fromkeys(name for name, _ in rates):
        medians = [(statistics.median(rates[name, one]), statistics.median(costs[name, one])) for one in _CLIENTS]
        columns = "".join(f"{rate:>18.0f}{cost:>8.1f}" for rate, cost in medians)
        print(f"{name:<42}{columns}{_PEAK_MB[name]:>10.0f}")


_PEAK_MB: dict[str, float] = {}
_PIDS: dict[str, int] = {}
_CLIENTS = {"tuned sender": _by_bare_sender, "stock storescu": _by_storescu}
_SERVERS = {
    "storescp, bit-preserving, no sync": _bit_preserving,
    "storescp, no sync": _storescp,
    "Orthanc, synced": _orthanc,
    "node, file, folder and ledger synced": _node,
}

if __name__ == "__main__":
    main()
