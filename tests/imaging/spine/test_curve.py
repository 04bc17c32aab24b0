"""Curves and straightened volumes, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np

from node.domain.volume import SourceImage, Volume
from node.imaging.spine.curve import OUTSIDE, curve_through, smoothed, straighten


def ramp() -> Volume:
    """HU = 2 x + 3 y + z in LPS mm, 2 mm slices, 1 mm pixels."""
    k, j, i = np.meshgrid(np.arange(40), np.arange(50), np.arange(50), indexing="ij")
    affine = np.array([[0.0, 0, 1, 10], [0, 1, 0, -20], [2, 0, 0, 100], [0, 0, 0, 1]])
    hu = 2 * (i + 10) + 3 * (j - 20) + (2 * k + 100)
    return Volume(hu.astype(np.int16), affine, "2.25.1", tuple(SourceImage("1", "2") for _ in range(40)))


def test_straight_samples_are_the_volumes_own() -> None:
    line = np.stack([np.full(20, 35.0), np.full(20, 5.0), np.linspace(170.0, 110.0, 20)], axis=1)
    curve = curve_through(line, np.array([0.0, 1.0, 0.0]), 1.0, 8.0, 0.0)
    sampled = straighten(ramp(), curve, np.array([-4.0, 0.0, 4.0]), np.array([-6.0, 0.0, 6.0]))
    s = int(np.argmin(np.abs(curve.s_mm - 30)))
    assert np.allclose(sampled[s, 1], [70 + 15 + 140 - 8, 70 + 15 + 140, 70 + 15 + 140 + 8], atol=0.6)
    assert np.allclose(sampled[s, :, 1], [225 - 18, 225, 225 + 18], atol=0.6)


def test_samples_beyond_the_scan_are_marked() -> None:
    line = np.stack([np.full(20, 35.0), np.full(20, 5.0), np.linspace(170.0, 110.0, 20)], axis=1)
    curve = curve_through(line, np.array([0.0, 1.0, 0.0]), 1.0, 8.0, 30.0)
    sampled = straighten(ramp(), curve, np.array([0.0]), np.array([0.0]))
    assert sampled[0, 0, 0] == OUTSIDE
    assert sampled[len(sampled) // 2, 0, 0] > 0


def test_axes_are_right_handed_and_follow_a_bent_curve() -> None:
    angle = np.linspace(0.0, 0.8, 60)
    line = np.stack([np.zeros(60), 200 * (1 - np.cos(angle)), -200 * np.sin(angle)], axis=1)
    curve = curve_through(line, np.array([0.0, 1.0, 0.0]), 1.0, 6.0, 10.0)
    assert np.allclose(np.cross(curve.left, curve.posterior), curve.superior, atol=1e-6)
    _, left, _, superior = curve.at(10.0 + 200 * 0.4)
    assert np.allclose(superior, [0, -np.sin(0.4), np.cos(0.4)], atol=0.02)
    assert np.allclose(left, [1, 0, 0], atol=0.02)


def test_smoothing_leaves_a_straight_line_alone() -> None:
    s = np.arange(0.0, 100.0, 2.0)
    value, slope = smoothed(s, np.stack([3 * s, -s], axis=1), 10.0)
    assert np.allclose(value, np.stack([3 * s, -s], axis=1), atol=1e-6)
    assert np.allclose(slope, [3.0, -1.0], atol=1e-6)


def test_what_is_not_trusted_does_not_bend_the_curve() -> None:
    s = np.arange(0.0, 100.0, 2.0)
    values, trust = 0.5 * s[:, None], np.ones(50)
    values[20:24], trust[20:24] = 500.0, 0.0
    value, _ = smoothed(s, values, 10.0, trust)
    assert np.allclose(value, 0.5 * s[:, None], atol=1e-3)
