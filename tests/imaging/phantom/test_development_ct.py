"""Phantoms of the development CT: real bodies, and simulations made independently of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from node.dicom import read, scan
from node.domain.phantom import PhantomFit, PhantomModel, RodModel
from node.domain.settings import CalibrationLimits
from node.domain.volume import SourceImage, Volume
from node.errors import PhantomNotFound
from node.imaging import body, calibration, phantom
from tests.imaging.phantom.models import shipped_models
from tests.shared_data import truth, unpacked

pytestmark = pytest.mark.shared_data

NEIGHBOURS = tuple(model for name, model in shipped_models().items() if name != "ia-qct3d-plus-g2730")
"""Configured beside the right one, to be told from it; the certified twin of a nominal phantom cannot be."""


def volume_of(name: str, scratch: Path) -> tuple[Volume, str | None]:
    """The longest series of a case (thick and lung series and scouts have fewer images) and its position."""
    folder = unpacked(name) / "dicom"
    main = folder / "S02"
    series, _ = scan.collect([main if main.is_dir() else folder], scratch)
    longest = max(series, key=lambda one: len(one.instances))
    return read.volume(longest), longest.instances[0].header.patient_position


def on_site(facts: dict[str, Any]) -> PhantomModel:
    """The phantom as the truth's certificate has it."""
    rods = tuple(RodModel(str(n), rod["density"], rod.get("water_density")) for n, rod in enumerate(facts["rods"]))
    base = 0.0 if facts.get("slab_counts_as_zero_rod") else None
    return PhantomModel("here", facts["model"], facts["serial"], facts["material"], rods, base_density_mg_cm3=base)


def others(model: PhantomModel) -> tuple[PhantomModel, ...]:
    """Those shipped whose rods are not the very same."""

    def densities(one: PhantomModel) -> list[float]:
        return [rod.density_mg_cm3 for rod in one.rods]

    return tuple(one for one in NEIGHBOURS if densities(one) != densities(model))


def found_in(name: str, model: PhantomModel, scratch: Path) -> PhantomFit:
    volume, position = volume_of(name, scratch)
    return phantom.find(volume, body.separate(volume, position), (model, *others(model)))


@pytest.mark.parametrize(
    "name",
    ["abdomen_m50", "chest_f66", "cap_f74_fracture", "rolled_bmas", "scoliosis", "contrast", "chest_ends_T12"],
)
def test_simulated_rods_are_within_one_hu_and_one_and_a_half_millimetres(name: str, tmp_path: Path) -> None:
    facts = truth(name)["phantom"]
    found = found_in(name, on_site(facts), tmp_path)

    assert found.phantom.id == "here"
    for reading, rod in zip(found.rods, facts["rods"], strict=False):
        start, end = (np.asarray(point) for point in rod["ends_lps"])
        z = reading.centre_lps_mm[2]
        axis = start + (end - start) * (z - start[2]) / (end[2] - start[2])
        assert abs(reading.hu_mean - rod["true_HU"]) < 1.0
        assert float(np.linalg.norm(np.subtract(reading.centre_lps_mm, axis))) < 1.5


def test_rods_under_a_real_body_are_within_two_hu_and_give_its_calibration(tmp_path: Path) -> None:
    name = "abdomen_a_with_simulated_phantom"
    facts = truth(name)
    found = found_in(name, shipped_models()["mindways-model3-4541a"], tmp_path)
    fit = calibration.fit(found, CalibrationLimits())

    for reading, rod in zip(found.rods, facts["rods"], strict=True):
        assert abs(reading.hu_mean - rod["hu"]) < 2.0
        assert np.hypot(reading.centre_lps_mm[0] - rod["x_lps"], reading.centre_lps_mm[1] - rod["y_lps"]) < 1.5
    for density in (80.0, 120.0, 180.0):
        hu = facts["sigma_ct"] * density + facts["beta_ct"]
        assert fit.density_mg_cm3(hu) == pytest.approx(density, abs=1.0)


@pytest.mark.parametrize("name", ["abdomen_a", "thorax_b", "abdomen_no_phantom"])
def test_no_phantom_is_seen_where_none_lies(name: str, tmp_path: Path) -> None:
    volume, position = volume_of(name, tmp_path)

    with pytest.raises(PhantomNotFound):
        phantom.find(volume, body.separate(volume, position), tuple(shipped_models().values()))


@pytest.mark.parametrize(
    ("name", "file"),
    [("ct_3mm_with_labels", "example_ct.nii.gz"), ("crop_L3_with_labels", "sub-ct_label-22_ct.nii.gz")],
)
def test_no_phantom_is_seen_in_a_coarse_or_a_cropped_real_scan(name: str, file: str) -> None:
    volume = _from_nifti(unpacked(name) / file)

    with pytest.raises(PhantomNotFound):
        phantom.find(volume, body.separate(volume, None), tuple(shipped_models().values()))


def _from_nifti(path: Path) -> Volume:
    image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
    hu = np.clip(SimpleITK.GetArrayFromImage(image), -1024, 3071).astype(np.int16)
    affine = np.eye(4)
    directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return Volume(hu, affine, "1.2.3", tuple(SourceImage("1.2", f"1.2.{k}") for k in range(len(hu))))
