"""The acceptor's loops: still pynetdicom's own, but asleep while there is nothing to do."""

from __future__ import annotations

import time
from pathlib import Path

from node.intake.tuning import WakefulSocket
from tests.intake.conftest import Door
from tests.intake.test_receiver import association
from tests.workflow.house import wait_until


def test_every_association_gets_the_waiting_socket(door: Door) -> None:
    with association(door):
        server = door.receiver._servers[0]
        (accepted,) = server.active_associations
        assert isinstance(accepted.dul.socket, WakefulSocket)


def test_idle_associations_cost_next_to_nothing(door: Door) -> None:
    with association(door), association(door), association(door):
        server = door.receiver._servers[0]
        threads = [thread for link in server.active_associations for thread in (link, link.dul)]
        before = [_cpu_s(thread.native_id) for thread in threads]
        time.sleep(2.0)
        spent = [_cpu_s(thread.native_id) - start for thread, start in zip(threads, before, strict=True)]
    assert sum(spent) < 0.4, spent


def test_an_association_is_answered_promptly(door: Door) -> None:
    begun = time.monotonic()
    with association(door) as link:
        for _ in range(20):
            assert link.send_c_echo().Status == 0x0000
    assert time.monotonic() - begun < 5


def test_ended_associations_leave_no_open_files(door: Door) -> None:
    _short_association(door)
    before = _open_files()
    for _ in range(10):
        _short_association(door)
    wait_until(lambda: _open_files() <= before + 2, 10, lambda: f"{before} -> {_open_files()}")


def _short_association(door: Door) -> None:
    with association(door) as link:
        link.send_c_echo()
    server = door.receiver._servers[0]
    wait_until(lambda: not server.active_associations, 10)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _cpu_s(native_id: int | None) -> float:
    """CPU time of one thread of this process (proc(5): fields 14 and 15 of stat, in ticks of 10 ms)."""
    with Path(f"/proc/self/task/{native_id}/stat").open() as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
