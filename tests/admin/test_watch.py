"""The HTTP endpoint as monitoring asks it, and the log as an operator reads it."""

from __future__ import annotations

import io
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node import log
from node.admin.watch import Watch
from node.config import Config, load
from node.demo.pacs import free_port
from node.domain.settings import AlarmSettings, Destination
from node.ledger import Ledger
from node.ledger.controls import ALL, Switch
from tests.ledger.arrivals import Clock, measure, receive

Start = Callable[..., Watch]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\nstate = "state"\n[admin]\nport = {free_port()}\n[alarms]\ndisk_free_part = 0\n')
    loaded = load(file, {})
    loaded.receiver.spool.mkdir(parents=True)
    return replace(loaded, receiver=replace(loaded.receiver, disk_reserve_mb=1.0))


@pytest.fixture
def start(ledger: Ledger, config: Config) -> Iterator[Start]:
    running: list[Watch] = []

    def begin(wanted: Config = config) -> Watch:
        watch = Watch(ledger, wanted, lambda: {"stored": 7, "rejected": 2})
        watch.start()
        running.append(watch)
        return watch

    yield begin
    for watch in running:
        watch.stop()


def get(watch: Watch, page: str) -> tuple[int, str]:
    assert watch.endpoint is not None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{watch.endpoint.port}{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(watch: Watch) -> dict[tuple[str, ...], float]:
    """Values by name and labels, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(get(watch, "/metrics")[1])
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_a_living_process_is_healthy(start: Start) -> None:
    assert get(start(), "/health")[0] == 200


def test_a_node_that_can_work_is_ready(start: Start) -> None:
    status, body = get(start(), "/ready")
    assert (status, json.loads(body)["status"]) == (200, "ready")


def test_without_its_ledger_it_is_not_ready(start: Start, ledger: Ledger, tmp_path: Path) -> None:
    watch = start()
    ledger.close()
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    (tmp_path / "ledger.sqlite").mkdir()
    assert get(watch, "/ready")[0] == 503


def test_with_a_full_disk_it_is_not_ready(start: Start, config: Config) -> None:
    watch = start(replace(config, receiver=replace(config.receiver, disk_reserve_mb=1e12)))
    assert get(watch, "/ready")[0] == 503


def test_another_page_is_not_found(start: Start) -> None:
    assert get(start(), "/etc/passwd")[0] == 404


def test_a_port_that_is_not_configured_is_not_opened(start: Start, config: Config) -> None:
    assert start(replace(config, admin=replace(config.admin, port=None))).endpoint is None


def test_series_are_counted_by_state(start: Start, ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    seen = figures(start())
    assert (seen["vbmd_series", "delivering"], seen["vbmd_series", "receiving"]) == (1, 0)


def test_received_and_turned_away_are_counted(start: Start) -> None:
    seen = figures(start())
    assert (seen["vbmd_door_objects_total", "stored"], seen[("vbmd_door_associations_rejected_total",)]) == (7, 2)


def test_queue_and_lag_are_shown_by_destination(start: Start, ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    clock.now += 90.0
    seen = figures(start())
    assert (seen["vbmd_deliveries_waiting", "A"], seen["vbmd_deliveries_oldest_seconds", "A"]) == (2, 90)


def test_a_destination_that_nothing_waits_for_is_shown_with_zero(start: Start, config: Config) -> None:
    pacs = Destination("pacs", "PACS", "192.0.2.9", 104)
    seen = figures(start(replace(config, destinations=(pacs,))))
    assert seen["vbmd_deliveries_waiting", "pacs"] == 0


def test_times_of_stages_are_shown(start: Start, ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    assert figures(start())["vbmd_stage_seconds", "0.5", "measure"] == 0


def test_free_disk_is_shown(start: Start, config: Config) -> None:
    assert figures(start())["vbmd_disk_free_bytes", str(config.receiver.spool)] > 0


def test_an_alarm_is_shown_while_it_lasts(start: Start, ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    clock.now += 5 * 3600.0
    assert figures(start())["vbmd_alarm", "delivery-overdue", "A"] == 1


def test_what_is_switched_off_is_shown(start: Start, ledger: Ledger) -> None:
    ledger.controls.off(Switch.MEASURING, ALL, "ann", "repair")
    assert figures(start())["vbmd_switched_off", "measuring", "*"] == 1


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    log.setup("INFO", as_json=True, stream=written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_alarm_is_logged_once_when_it_begins_and_once_when_it_is_over(
    ledger: Ledger, config: Config, clock: Clock, stream: io.StringIO
) -> None:
    watch = Watch(ledger, config, dict)
    receive(ledger)
    measure(ledger)
    clock.now += 5 * 3600.0
    watch.look()
    watch.look()
    ledger.operator.drop("A", "ann", "gone")
    watch.look()
    logged = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["alarm"]) for line in logged] == [
        ("alarm", "delivery-overdue"),
        ("alarm-over", "delivery-overdue"),
    ]


def test_a_clock_that_jumps_is_noticed(ledger: Ledger, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(ledger, config, dict)
    watch.look()
    real = time.time
    monkeypatch.setattr("node.admin.watch.time.time", lambda: real() + 60.0)
    monkeypatch.setattr("node.ledger.executors.time.time", lambda: real() + 60.0)
    assert [(one.kind, one.subject) for one in watch.look()] == [("clock-skew", "jump")]


def test_limits_can_be_changed_while_it_runs(ledger: Ledger, config: Config, clock: Clock) -> None:
    watch = Watch(ledger, config, dict)
    receive(ledger)
    measure(ledger)
    clock.now += 5 * 3600.0
    watch.configure(replace(config, alarms=AlarmSettings(overdue_h=6.0, disk_free_part=0.0)))
    assert watch.look() == []
