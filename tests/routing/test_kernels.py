"""Kernels of the main vendors."""

from __future__ import annotations

import pytest

from node.routing.kernels import kernel_class


@pytest.mark.parametrize(
    ("manufacturer", "kernel", "expected"),
    [
        ("SIEMENS", "B30f", "standard"),
        ("SIEMENS", "B10s", "standard"),
        ("SIEMENS", "B46f", "standard"),
        ("SIEMENS", "B50f", "sharp"),
        ("SIEMENS", "B70s", "sharp"),
        ("SIEMENS", "I30f\\3", "standard"),
        ("Siemens Healthineers", "Br36d\\2", "standard"),
        ("Siemens Healthineers", "Bl57d\\3", "sharp"),
        ("Siemens Healthineers", "Qr40", "standard"),
        ("SIEMENS", "T80s", "sharp"),
        ("GE MEDICAL SYSTEMS", "STANDARD", "standard"),
        ("GE MEDICAL SYSTEMS", "SOFT", "standard"),
        ("GE MEDICAL SYSTEMS", "STD+", "standard"),
        ("GE MEDICAL SYSTEMS", "LUNG", "sharp"),
        ("GE MEDICAL SYSTEMS", "BONEPLUS", "sharp"),
        ("GE MEDICAL SYSTEMS", "DETAIL", "sharp"),
        ("Philips", "B", "standard"),
        ("Philips", "YB", "standard"),
        ("Philips", "YA", "standard"),
        ("Philips", "L", "sharp"),
        ("Philips", "YD", "sharp"),
        ("TOSHIBA", "FC03", "standard"),
        ("TOSHIBA", "FC13-H", "standard"),
        ("Canon Medical Systems", "FC18", "standard"),
        ("TOSHIBA", "FC30", "sharp"),
        ("TOSHIBA", "FC51", "sharp"),
        ("UIH", "B_SOFT_B", "standard"),
        ("UIH", "B_SHARP_C", "sharp"),
        ("Somebody", "Lung sharp", "sharp"),
        ("Somebody", "Standard body", "standard"),
        ("Somebody", "X17", "unknown"),
        ("SIEMENS", None, "unknown"),
        (None, "B30f", "unknown"),
        ("Philips", "", "unknown"),
    ],
)
def test_class(manufacturer: str | None, kernel: str | None, expected: str) -> None:
    assert kernel_class(manufacturer, kernel) == expected
