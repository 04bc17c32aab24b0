"""Each confounder is named, and answered as the configuration says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.findings import Effect
from node.domain.instance import InstanceHeader
from node.domain.quality import KernelClass, Quality
from node.domain.settings import ConfounderPolicies, MeasurementSettings
from node.domain.spine import Voi
from node.domain.volume import OUTSIDE_FIELD_HU, Mask, SourceImage, Volume
from node.imaging import body, confounders, density
from node.imaging.confounders import position, texture
from node.imaging.standard import Circumstances
from tests.imaging.test_density import calibration, reading

SHAPE, STEP = (12, 150, 150), (3.0, 3.0, 3.0)


def volume(
    hu: np.ndarray | None = None, middle: tuple[float, float] = (0.0, 0.0), step: tuple[float, float, float] = STEP
) -> Volume:
    """A round patient of 280 mm in the middle of a field of 450 mm, or other voxels."""
    if hu is None:
        y, x = ((np.arange(n) - (n - 1) / 2) * 3.0 for n in SHAPE[1:])
        disc = np.hypot(x[None, :], y[:, None]) <= 140.0
        hu = np.broadcast_to(np.where(disc, 50, -1000), SHAPE).astype(np.int16).copy()
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *step, 1.0
    corner = [
        m - (n - 1) / 2 * s for m, n, s in zip(middle, (hu.shape[2], hu.shape[1]), (step[2], step[1]), strict=True)
    ]
    affine[:3, 3] = *corner, 0.0
    return Volume(hu, affine, "2.25.1", tuple(SourceImage("1.2", f"2.25.{n + 1}") for n in range(len(hu))))


def voi(of: Volume) -> Voi:
    mask = np.zeros(of.hu.shape, dtype=bool)
    middle = [n // 2 for n in of.hu.shape]
    mask[tuple(slice(m - 1, m + 2) for m in middle)] = True
    x, y, z = (float(v) for v in of.lps_mm(middle))
    return Voi(Mask.of(mask), (x, y, z), 700.0, 150.0, 20.0, 2.0, None)


def header(**values: object) -> InstanceHeader:
    return InstanceHeader("1.1", "1.2", "1.3", "1.4", "1.5", **values)  # type: ignore[arg-type]


def codes(
    of: Volume,
    *,
    kernel: KernelClass = "standard",
    quality: Quality | None = None,
    policies: ConfounderPolicies | None = None,
    **values: object,
) -> dict[str, Effect]:
    """Code and effect of every caution."""
    settings = MeasurementSettings(confounders=policies or ConfounderPolicies())
    circumstances = Circumstances(header(**values), kernel, quality or Quality())
    seen = confounders.find(of, body.separate(of, "HFS"), (), {"L1": voi(of)}, settings, circumstances)
    return {caution.code: caution.effect for caution in seen.cautions}


def test_an_ordinary_scan_has_no_confounder() -> None:
    assert codes(volume(), kvp=120.0, slice_thickness_mm=1.5, table_height_mm=150.0) == {}


@pytest.mark.parametrize(
    ("values", "code", "effect"),
    [
        ({"kvp": 100.0}, "kvp", "withhold"),
        ({"contrast_bolus_agent": "Iohexol"}, "contrast", "withhold"),
        ({"slice_thickness_mm": 5.0}, "thick-slices", "warn"),
        ({"table_height_mm": 320.0}, "table-height", "warn"),
        ({"kernel": "sharp"}, "sharp-kernel", "warn"),
        ({"quality": Quality(out_of_control="Slope above its limit.")}, "out-of-control", "withhold"),
        ({"data_collection_center_patient_mm": (0.0, 60.0, 0.0)}, "off-centre", "warn"),
    ],
)
def test_each_confounder_is_named_with_its_effect(values: dict[str, object], code: str, effect: Effect) -> None:
    assert codes(volume(), **values) == {code: effect}  # type: ignore[arg-type]


@pytest.mark.parametrize("effect", ["warn", "withhold", "refuse"])
def test_the_configuration_decides_what_follows(effect: Effect) -> None:
    assert codes(volume(), kvp=80.0, policies=ConfounderPolicies(kvp=effect)) == {"kvp": effect}


def test_metal_anywhere_in_the_slices_of_the_voi_is_named() -> None:
    hu = volume().hu.copy()
    hu[6, 70:73, 20:24] = 3000
    assert codes(volume(hu)) == {"metal": "warn"}


def test_metal_in_other_slices_is_not() -> None:
    hu = volume().hu.copy()
    hu[1, 70:73, 20:24] = 3000
    assert codes(volume(hu)) == {}


def test_a_body_that_the_field_cuts_is_named_and_not_called_off_centre() -> None:
    hu = volume().hu.copy()
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    hu[:, np.hypot(x - 95.0, y - 74.5) > 45.0] = OUTSIDE_FIELD_HU
    assert codes(volume(hu), data_collection_center_patient_mm=(90.0, 0.0, 0.0)) == {"truncated": "warn"}


def test_a_field_that_just_holds_the_body_does_not_cut_it() -> None:
    made = volume()
    assert position.truncated_part(body.separate(made, "HFS"), (10.0, 25.0)) == 0.0


@pytest.mark.parametrize(
    ("middle", "values", "expected"),
    [
        ((0.0, 30.0), {"data_collection_center_patient_mm": (0.0, -20.0, 5.0)}, 50.0),
        ((0.0, 30.0), {"reconstruction_diameter_mm": 500.0}, 0.0),
        ((0.0, 30.0), {}, 30.0),
        ((0.0, -140.0), {"table_height_mm": 160.0}, 20.0),
    ],
)
def test_the_centre_of_rotation_is_stated_or_inferred(
    middle: tuple[float, float], values: dict[str, object], expected: float
) -> None:
    made = volume(middle=middle)
    found = position.centring(made, body.separate(made, "HFS"), header(**values), (10.0, 20.0))
    assert found is not None
    assert found.distance_mm == pytest.approx(expected, abs=3.0)


def test_a_field_far_from_any_origin_tells_nothing() -> None:
    made = volume(middle=(0.0, 300.0))
    assert position.centring(made, body.separate(made, "HFS"), header(), (10.0, 20.0)) is None


def filtered(peak_per_mm: float, pixel_mm: float = 0.7, size: int = 200) -> Volume:
    """Soft tissue with the noise of a back-projection, f · exp(−(f/f0)²)."""
    rng = np.random.default_rng(5)
    f = np.hypot(np.fft.fftfreq(size, pixel_mm)[:, None], np.fft.fftfreq(size, pixel_mm)[None, :])
    shape = np.sqrt(f * np.exp(-((f / peak_per_mm) ** 2)))
    images = [np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * shape).real for _ in range(5)]
    noise = np.stack(images)
    hu = 50.0 + 15.0 * noise / noise.std()
    return volume(np.rint(hu).astype(np.int16), step=(1.0, pixel_mm, pixel_mm))


@pytest.mark.parametrize(("peak_per_mm", "sharp"), [(0.22, False), (0.33, False), (0.62, True)])
def test_the_kernel_shows_in_the_noise(peak_per_mm: float, sharp: bool) -> None:
    made = filtered(peak_per_mm)
    found = texture.mean_frequency_per_mm(made, (voi(made),))
    assert found is not None
    assert (found >= texture.SHARP_PER_MM) is sharp


def test_coarse_pixels_do_not_tell_the_kernel() -> None:
    made = filtered(0.33, pixel_mm=1.6)
    assert texture.mean_frequency_per_mm(made, (voi(made),)) is None


def test_a_mean_that_noise_leaves_unknown_is_refused() -> None:
    """By hand: 14 HU are 10 mg/cm³; of two, 2 · 10 / √2 = 14.1."""
    noisy = replace(reading(145.0, 14.0), noise_error_hu=14.0)
    measured = [(noisy, calibration()), (noisy, calibration())]
    (caution,) = confounders.random_error(measured, ConfounderPolicies())
    assert (caution.code, caution.effect) == ("noise", "refuse")
    assert density.noise_of_mean(measured) == pytest.approx(14.142, abs=1e-3)


def test_ordinary_noise_is_no_confounder() -> None:
    quiet = replace(reading(145.0, 2.0), noise_error_hu=2.0)
    assert confounders.random_error([(quiet, calibration())], ConfounderPolicies()) == ()
