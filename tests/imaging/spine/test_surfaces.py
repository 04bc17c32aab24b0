"""Surfaces of least cost."""

from __future__ import annotations

import numpy as np
import pytest

from node.imaging.spine.surfaces import least_cost_surface, outward_fall, passed_edges

JUMPS = 0.1 * np.arange(4, dtype=np.float64)


def valley(truth: np.ndarray, positions: int = 30) -> np.ndarray:
    return np.abs(np.arange(positions) - truth[..., None]).astype(np.float32)[None]


def test_a_smooth_valley_is_followed() -> None:
    rows, columns = np.meshgrid(np.arange(20), np.arange(15), indexing="ij")
    truth = 12.0 + 5.0 * np.sin(rows / 6.0) + 0.2 * columns
    found = least_cost_surface(valley(truth), JUMPS)[0]
    assert np.abs(found - truth).max() < 0.6


def test_a_gap_without_evidence_is_bridged() -> None:
    truth = np.full((20, 15), 10.0)
    cost = valley(truth)
    cost[0, 8:12, 5:9] = 0.0
    assert least_cost_surface(cost, JUMPS)[0] == pytest.approx(truth, abs=0.5)


def test_one_stray_profile_does_not_pull_the_surface() -> None:
    truth = np.full((20, 15), 10.0)
    cost = valley(truth)
    cost[0, 10, 7] = np.abs(np.arange(30) - 25.0)
    assert abs(least_cost_surface(np.minimum(cost, 2.0), 5.0 * JUMPS)[0, 10, 7] - 10.0) < 1.0


def test_closed_rows_join_the_last_to_the_first() -> None:
    cost = np.zeros((1, 12, 1, 20), dtype=np.float32)
    cost[0, 6, 0] = np.abs(np.arange(20) - 4.0)
    cost[0, 0, 0] = np.abs(np.arange(20) - 16.0)
    found = least_cost_surface(cost, JUMPS, closed_rows=True)[0, :, 0]
    assert abs(found[11] - found[0]) <= 3.0
    assert abs(found[1] - found[0]) <= 3.0


def test_the_vertex_between_positions_is_found() -> None:
    truth = np.full((5, 5), 7.3)
    cost = ((np.arange(20) - truth[..., None]) ** 2).astype(np.float32)[None]
    assert least_cost_surface(cost, JUMPS)[0, 2, 2] == pytest.approx(7.3, abs=0.05)


def test_fall_is_positive_where_attenuation_drops() -> None:
    profile = np.where(np.arange(40) < 20, 200.0, 50.0).astype(np.float32)
    fall = outward_fall(profile, 1.5)
    assert int(np.argmax(fall)) in (19, 20)
    assert fall.max() > 0.0


def test_an_edge_counts_as_passed_only_farther_out() -> None:
    score = np.zeros(20, dtype=np.float32)
    score[5] = 0.8
    passed = passed_edges(score, 3)
    assert passed[7] == 0.0
    assert passed[9] == pytest.approx(0.8)
