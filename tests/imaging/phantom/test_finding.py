"""A phantom under (or over) a trunk: which one, where, how dense; or why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.phantom import PhantomFit, PhantomModel, RodModel
from node.domain.settings import CalibrationLimits
from node.errors import PhantomAmbiguous, PhantomNotFound, PhantomOutOfField, PhantomUnknown
from node.imaging import body, calibration, phantom
from tests.imaging.phantom.models import shipped_models
from tests.imaging.phantom.scenes import Pose, Recipe, Scanner, Scene, Slab, build

MODELS = shipped_models()
MINDWAYS = MODELS["mindways-model3-4541a"]
BMAS = MODELS["bmas200-nominal"]
NOMINAL = MODELS["ia-qct3d-plus-nominal"]
CERTIFIED = MODELS["ia-qct3d-plus-g2730"]
SAME = MODELS["mindways-model3-4560"]
"""Has the densities of 4541A."""
ON_SITE = tuple(model for model in MODELS.values() if model not in (CERTIFIED, SAME) and model.kind == "patient")
SCANNER = Scanner(matrix=200, pixel_mm=2.0, spacing_mm=3.0, slices=48, noise_hu=10.0)


def recipe(model: PhantomModel | None, **changes: object) -> Recipe:
    pitch = 44.0 if model is None or len(model.rods) < 6 else 34.0
    base = Recipe(model, SCANNER, slab=Slab(pitch=pitch), seed=7)
    return replace(base, **changes)  # type: ignore[arg-type]


def find(scene: Scene, models: tuple[PhantomModel, ...] = ON_SITE, position: str = "HFS") -> PhantomFit:
    return phantom.find(scene.volume, body.separate(scene.volume, position), models)


def assert_rods(scene: Scene, found: PhantomFit, hu_limit: float = 1.5, mm_limit: float = 1.0) -> None:
    """The largest error of attenuation and of position of the rods must lie below the limits."""
    rods = [rod for rod in found.rods if rod.rod.name != "base"]
    hu = max(abs(rod.hu_mean - true) for rod, true in zip(rods, scene.rod_hu, strict=True))
    off = [np.subtract(rod.centre_lps_mm, scene.rod_lps_mm(n, rod.centre_lps_mm[2])) for n, rod in enumerate(rods)]
    assert hu < hu_limit
    assert max(float(np.linalg.norm(one)) for one in off) < mm_limit


@pytest.mark.parametrize("name", [model.id for model in ON_SITE])
def test_each_shipped_phantom_is_told_from_all_others(name: str) -> None:
    scene = build(recipe(MODELS[name], slab=replace(recipe(MODELS[name]).slab, base_hu=0.0 if "4pt" in name else 25.0)))
    found = find(scene)

    assert found.phantom.id == name
    assert_rods(scene, found)


@pytest.mark.parametrize(
    ("pose", "position"),
    [
        (Pose(mirrored=True), "HFS"),
        (Pose(upside_down=True, roll=-9.0, shift_left=25.0), "HFS"),
        (Pose(yaw=9.0, roll=5.0), "FFS"),
        (Pose(tilt=5.0, mirrored=True), "HFS"),
        (Pose(prone=True, gap=-3.0), "HFP"),
        (Pose(gap=-4.0), "HFS"),
    ],
    ids=["mirrored", "upside-down", "yawed", "tilted", "prone", "pressed"],
)
def test_wherever_it_lies_its_rods_are_read_right(pose: Pose, position: str) -> None:
    scene = build(recipe(MINDWAYS, pose=pose))
    found = find(scene, position=position)

    assert found.phantom.id == MINDWAYS.id
    assert_rods(scene, found)


def test_a_rod_that_does_not_show_against_its_slab_is_placed_by_the_others() -> None:
    scene = build(recipe(BMAS, slab=Slab(base_hu=0.5)))
    found = find(scene)

    assert_rods(scene, found, mm_limit=1.5)
    assert "placed by the pitch" in found.evidence


def test_faint_rods_are_read_in_heavy_noise() -> None:
    scene = build(recipe(BMAS, scanner=replace(SCANNER, noise_hu=60.0, slices=64), slab=Slab(base_hu=40.0)))
    found = find(scene)
    fit = calibration.fit(found, CalibrationLimits())
    error = fit.density_mg_cm3(scene.sigma_ct * 100 + scene.beta_ct) - 100
    gradient = np.array([-100.0, -1.0]) / fit.sigma_ct

    assert abs(error) < 3 * float(np.sqrt(gradient @ fit.covariance @ gradient))
    assert_rods(scene, found, hu_limit=8.0, mm_limit=1.5)


def test_a_phantom_with_one_rod_too_faint_for_a_circle_is_not_taken_for_one_of_fewer_rods() -> None:
    slab = Slab(radius=8.85, pitch=63.7, thickness=30.0, margin=13.3, base_hu=90.0)
    scene = build(recipe(NOMINAL, slab=slab))

    assert abs(scene.rod_hu[1] - 90.0) < 15.0
    with pytest.raises(PhantomUnknown):
        find(scene, (MODELS["siemens-osteo-nominal"],))


def test_a_bubble_and_the_end_of_the_slab_do_not_enter_the_reading() -> None:
    scene = build(recipe(BMAS, bubbles=True, pose=Pose(z_to=30.0), slab=Slab(base_hu=30.0)))
    found = find(scene)
    top = max(float(rod.slice_centres_lps_mm[:, 2].max()) for rod in found.rods)

    assert_rods(scene, found)
    assert top <= 30.0


def test_the_base_plate_is_read_where_it_is_a_standard() -> None:
    four_points = MODELS["ha-slab-4pt-nominal"]
    scene = build(recipe(four_points, slab=Slab(base_hu=0.0)))
    found = find(scene)

    assert [rod.rod.name for rod in found.rods] == ["50", "100", "200", "base"]
    assert found.rods[-1].hu_mean == pytest.approx(0.0, abs=1.0)


def certified(model: PhantomModel, **changes: object) -> PhantomModel:
    return replace(model, id="certified", serial="17", nominal=False, **changes)  # type: ignore[arg-type]


def test_a_certificate_goes_before_catalogue_values_of_its_make() -> None:
    rods = tuple(replace(rod, density_mg_cm3=rod.density_mg_cm3 * 1.01 + 0.4) for rod in BMAS.rods)
    found = find(build(recipe(BMAS)), (*ON_SITE, certified(BMAS, rods=rods)))

    assert found.phantom.id == "certified"
    assert "catalogue values" in found.evidence


def test_catalogue_files_with_the_same_densities_are_one_phantom() -> None:
    found = find(build(recipe(BMAS)), (replace(BMAS, id="first"), replace(BMAS, id="second", model="another name")))

    assert found.phantom.id == "first"


def test_two_phantoms_with_the_same_certified_densities_are_refused() -> None:
    with pytest.raises(PhantomAmbiguous, match="equally well"):
        find(build(recipe(BMAS)), (certified(BMAS), replace(certified(BMAS), id="other", serial="18")))


def test_two_certificates_of_one_make_are_refused() -> None:
    rods = tuple(replace(rod, density_mg_cm3=rod.density_mg_cm3 * 1.01 + 0.4) for rod in BMAS.rods)
    with pytest.raises(PhantomAmbiguous):
        find(build(recipe(BMAS)), (certified(BMAS), replace(certified(BMAS, rods=rods), id="other")))


def test_a_slope_that_the_voltage_cannot_give_is_not_believed() -> None:
    scene = build(recipe(BMAS, scanner=replace(SCANNER, sigma_ref=1.2)))

    assert phantom.find(scene.volume, body.separate(scene.volume, "HFS"), (BMAS,), kvp=140.0).phantom.id == BMAS.id
    with pytest.raises(PhantomUnknown):
        phantom.find(scene.volume, body.separate(scene.volume, "HFS"), (BMAS,), kvp=70.0)


def test_without_a_phantom_none_is_found() -> None:
    with pytest.raises(PhantomNotFound):
        find(build(recipe(None, pad_mm=10.0)))


def test_a_phantom_that_is_not_configured_is_reported_with_its_rods() -> None:
    stranger = PhantomModel("x", "X", None, "CaHA", tuple(RodModel(f"{d}", float(d)) for d in (30, 90, 160, 300)))
    with pytest.raises(PhantomUnknown, match="4 rods") as caught:
        find(build(recipe(stranger)))

    rows = caught.value.evidence["rows"]
    assert isinstance(rows, list)
    assert len(rows[0]["rods"]) == 4


def test_two_certificates_that_fit_alike_are_refused() -> None:
    with pytest.raises(PhantomAmbiguous, match="equally well") as caught:
        find(build(recipe(NOMINAL)), (NOMINAL, CERTIFIED))

    assert caught.value.evidence["candidates"] == sorted([CERTIFIED.id, NOMINAL.id])


@pytest.mark.parametrize("padding", [-2048, -1024, None], ids=["padded", "ring of air", "image edge"])
def test_rods_cut_by_the_scan_field_are_named(padding: int | None) -> None:
    scanner = replace(SCANNER, matrix=180, padding_hu=padding)
    scene = build(recipe(MINDWAYS, scanner=scanner, pose=Pose(shift_left=125.0), body_half_mm=(85.0, 140.0)))

    with pytest.raises(PhantomOutOfField, match="outside") as caught:
        find(scene)
    assert caught.value.evidence["phantom"] == MINDWAYS.id


def test_rods_cut_from_below_are_not_read() -> None:
    scanner = replace(SCANNER, matrix=156, padding_hu=-2048)
    scene = build(recipe(MINDWAYS, scanner=scanner, centre_mm=(17.0, 0.0)))

    with pytest.raises(PhantomOutOfField):
        find(scene)


def test_a_cut_phantom_is_not_taken_for_a_smaller_one() -> None:
    scanner = replace(SCANNER, matrix=180, padding_hu=-2048)
    scene = build(recipe(BMAS, scanner=scanner, pose=Pose(shift_left=118.0), body_half_mm=(85.0, 140.0)))

    with pytest.raises(PhantomOutOfField):
        find(scene, (NOMINAL, MODELS["siemens-osteo-nominal"], MODELS["ha-slab-4pt-nominal"]))


def test_two_phantoms_on_the_couch_are_refused() -> None:
    lower = build(recipe(MINDWAYS))
    upper = build(recipe(BMAS, pose=Pose(prone=True), slab=Slab(base_hu=30.0)))
    both = np.maximum(lower.volume.hu, upper.volume.hu)

    with pytest.raises(PhantomAmbiguous, match="2 phantoms"):
        find(replace(lower, volume=replace(lower.volume, hu=both)))


def test_a_qa_insert_is_not_a_phantom() -> None:
    insert = PhantomModel("qa", "QA", None, "CaHA", (RodModel("a", 0.0), RodModel("100", 100.0)))
    slab = Slab(radius=16.0, thickness=40.0, margin=90.0, pitch=1.0, base_hu=0.0)

    with pytest.raises(PhantomNotFound):
        find(build(recipe(insert, slab=slab)))


OSTEO = MODELS["siemens-osteo-nominal"]


def test_a_rod_alone_at_the_end_of_its_slab_is_found_with_its_partner() -> None:
    """The water-equivalent rod does not show against the slab."""
    slab = Slab(radius=8.0, pitch=70.0, margin=15.0, thickness=27.0, base_hu=1.0)
    scene = build(recipe(OSTEO, slab=slab, pose=Pose(prone=True, gap=2.0)))
    found = find(scene, position="HFP")

    assert found.phantom.id == OSTEO.id
    assert_rods(scene, found)


@pytest.mark.parametrize("model", [BMAS, OSTEO], ids=["rods", "one rod shows"])
def test_of_two_phantoms_on_the_couch_the_configured_one_is_used_and_the_other_named(model: PhantomModel) -> None:
    slab = Slab(base_hu=30.0 if model is BMAS else 1.0, thickness=27.0, radius=8.0)
    below = (MINDWAYS, Slab(pitch=34.0, radius=8.0, thickness=27.0))
    scene = build(recipe(model, slab=slab, below=below, body_half_mm=(80.0, 140.0), centre_mm=(-50.0, 0.0)))
    found = find(scene, (model, NOMINAL))

    assert found.phantom.id == model.id
    assert_rods(scene, found)
    assert "not configured: 5 rods" in found.evidence


def test_a_phantom_that_reaches_four_centimetres_into_the_scan_is_found() -> None:
    scene = build(recipe(BMAS, pose=Pose(z_from=32.0), slab=Slab(base_hu=30.0)))
    found = find(scene)

    assert found.phantom.id == BMAS.id
    assert_rods(scene, found, hu_limit=2.0)
