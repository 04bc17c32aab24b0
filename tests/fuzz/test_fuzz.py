"""The short form: a few hundred hostile inputs. The long one: ``python -m tests.fuzz``."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import mutated, noise
from tests.fuzz.run import Report, run

INPUTS = 500


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(tmp_path_factory.mktemp("fuzz"), INPUTS, seed=2)


def test_the_receiver_lives(report: Report) -> None:
    assert report.alive


def test_every_input_came_to_an_end_and_good_peers_were_served(report: Report) -> None:
    assert report.found.wrong == []


def test_inputs_of_every_kind_were_sent(report: Report) -> None:
    assert len(report.found.sent) == 4
    assert sum(report.found.sent.values()) >= INPUTS


def test_damaged_datasets_were_stored_and_refused_one_by_one(report: Report) -> None:
    assert {"0000", "C000"} <= set(report.found.answers)
    assert set(report.found.answers) <= {"0000", "C000", "A900", "ended", "closed"}


def test_nothing_that_was_acknowledged_is_lost(report: Report) -> None:
    assert report.lost == ()


def test_memory_threads_and_files_do_not_grow(report: Report) -> None:
    assert report.growth_mb < 25, report.text
    assert report.threads[1] <= report.threads[0] + 2, report.text
    assert report.files[1] <= report.files[0] + 4, report.text


def test_the_same_seed_damages_the_same_way() -> None:
    first, second = (mutated(b"0123456789" * 20, random.Random(3)) for _ in range(2))
    assert first == second != b"0123456789" * 20
    assert noise(random.Random(4)) == noise(random.Random(4))
