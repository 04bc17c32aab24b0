"""A second opinion reaches the result: agreement is silent, disagreement lowers the confidence and is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from node import pipeline
from node.domain.findings import Findings
from node.domain.instance import InstanceHeader
from node.domain.settings import MeasurementSettings, SegmenterSettings, TotalSegmentatorSettings
from node.segmenters.images import image_of
from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase
from tests.segmenters import painted
from tests.synthetic.measured import SMALL

TOTAL = {20 + n: 31 - n for n in range(5)} | {7 + n: 44 - n for n in range(1, 13)}
"""Label of the synthetic case (T1 = 8, L1 = 20) → label of the task total."""


@pytest.fixture(scope="module")
def case() -> SyntheticCase:
    return make(replace(SMALL, top=("T11", 0.0)))


def measured(case: SyntheticCase, folder: Path, shift: int) -> Findings:
    """Measured with an opinion that names every vertebra ``shift`` levels lower than it is."""
    volume = case.volume()
    answer = np.zeros(case.labels.shape, dtype=np.uint8)
    for ours, theirs in TOTAL.items():
        answer[case.labels % 100 == ours] = theirs - shift
    labels = sitk.GetImageFromArray(answer)
    labels.CopyInformation(image_of(volume))
    weights = painted.weights(folder / "weights", 297, behaviour="answer")
    sitk.WriteImage(labels, str(weights / "answer.nii.gz"))
    installed = TotalSegmentatorSettings(command=str(painted.program(folder)), weights=str(weights))
    settings = MeasurementSettings(
        segmenter=SegmenterSettings(beside=("totalsegmentator",), totalsegmentator=installed)
    )
    header = InstanceHeader("1.2", "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", kvp=120.0)
    return pipeline.measure(volume, header, (MINDWAYS_5,), settings)


def test_agreement_is_an_anchor_and_nothing_else(case: SyntheticCase, tmp_path: Path) -> None:
    found = measured(case, tmp_path, 0)
    assert found.assignment is not None
    assert found.assignment.anchors[-1].name == "second-opinion"
    assert "alike" in found.assignment.anchors[-1].evidence
    assert not [one for one in found.cautions if one.code.startswith("second-opinion")]


def test_disagreement_is_a_caution_and_refuses_an_unsure_name(case: SyntheticCase, tmp_path: Path) -> None:
    found = measured(case, tmp_path, 1)
    assert "second-opinion-differs" in [one.code for one in found.cautions]
    assert found.refusal is not None
    assert found.refusal.reason == "levels-ambiguous"
