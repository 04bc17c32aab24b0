"""Random scans with a calibration phantom or with what may be taken for one, and what a physicist would say of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from node.domain.phantom import PhantomModel
from node.domain.volume import OUTSIDE_FIELD_HU
from tests.benchmarks.phantom_rivals import close, equal
from tests.imaging.phantom.models import shipped_models
from tests.imaging.phantom.props import Cushion, Insert, Metal, Prop, Rails, Sandbag, Wires
from tests.imaging.phantom.scenes import Pose, Recipe, Scanner, Slab, rod_truth

Kind = Literal[
    "plain", "none", "cut in plane", "short", "not configured", "two, one configured", "two, both configured",
    "certificate beside catalogue", "two certificates",
]  # fmt: skip
SHARES: dict[Kind, float] = {
    "plain": 0.62,
    "none": 0.14,
    "cut in plane": 0.06,
    "short": 0.03,
    "not configured": 0.05,
    "two, one configured": 0.02,
    "two, both configured": 0.02,
    "certificate beside catalogue": 0.04,
    "two certificates": 0.02,
}
SAME = "mindways-model3-4560"
"""Has the densities of 4541A: nothing tells the two apart."""
MODELS = {name: model for name, model in shipped_models().items() if model.kind == "patient" and name != SAME}
CERTIFIED = "ia-qct3d-plus-g2730"
"""Fits as well as the catalogue values of its make: the two are never configured together here."""
SIGMA_REF = {100.0: 1.85, 120.0: 1.67, 140.0: 1.53}
"""At the middle of the range of effective energies of each tube voltage."""

MAY_REFUSE_MG_CM3 = 1.0
"""Standard uncertainty of 100 mg/cm³ by noise alone at one vertebra; 1.5 is the limit of the node."""

Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """One scene, what is configured, and what should become of it."""

    number: int
    kind: Kind
    recipe: Recipe
    configured: tuple[PhantomModel, ...]
    expected: str | None
    """Id that must be found; None where a physicist would refuse."""
    may_refuse: bool
    """Whether a physicist may refuse it as well: very noisy, shorter than two vertebrae, or close to another."""
    position: str
    kvp: float
    faults: tuple[str, ...]


def case(number: int) -> Case:
    """The scene of a number; the same number gives the same scene."""
    rng = np.random.default_rng([number, 33])
    kind: Kind = rng.choice(list(SHARES), p=list(SHARES.values()))
    model = MODELS[str(rng.choice(list(MODELS)))]
    kvp = float(rng.choice([100.0, 120.0, 140.0], p=[0.2, 0.6, 0.2]))
    recipe, faults = _varied(None if kind == "none" else model, kvp, number, rng)
    configured = _site(model, rng)
    expected: str | None = model.id
    if kind == "none":
        expected = None
    elif kind == "cut in plane":
        recipe, expected = _cut(recipe, rng), None
    elif kind == "short":
        end = _end_mm(recipe) - float(rng.uniform(25.0, 60.0))
        ends = {"z_from": end} if rng.random() < 0.5 else {"z_to": -end}
        recipe = replace(recipe, pose=replace(recipe.pose, **ends))
    elif kind == "not configured":
        configured, expected = tuple(one for one in MODELS.values() if _unlike(one, model)), None
        configured = tuple(one for one in configured if one.id != "ia-qct3d-plus-g2730")
    elif kind.startswith("two, "):
        other = MODELS[str(rng.choice([name for name, one in MODELS.items() if _unlike(one, model)]))]
        recipe = _in_field(
            replace(recipe, below=(other, _second_slab(other)), pose=replace(recipe.pose, tilt=0.0, yaw=0.0))
        )
        if "both" in kind:
            configured, expected = (model, other), None
        else:
            configured = tuple(one for one in configured if _unlike(one, other))
    elif kind == "certificate beside catalogue":
        mine = _certificate(model, rng)
        recipe, configured, expected = _with(recipe, mine), (*configured, mine), mine.id
    elif kind == "two certificates":
        pair = (_certificate(model, rng), replace(_certificate(model, rng), id="other", serial="18"))
        recipe, configured, expected = _with(recipe, pair[0]), pair, pair[0].id
    position = ("FFP" if number % 3 == 0 else "HFP") if recipe.pose.prone else ("FFS" if number % 4 == 0 else "HFS")
    rivals = [one for one in configured if expected is not None and _may_rival(one, expected, model)]
    may_refuse = kind == "short" or _noise_mg_cm3(recipe) > MAY_REFUSE_MG_CM3 or close(recipe, rivals)
    if equal(recipe, rivals):
        expected = None
    return Case(number, kind, recipe, configured, expected, may_refuse, position, kvp, faults)


def _may_rival(one: PhantomModel, expected: str, model: PhantomModel) -> bool:
    """Whether a configured phantom could be taken for the one that lies there; a catalogue yields to a certificate."""
    return one.id != expected and not (one.model == model.model and one.nominal)


def _end_mm(recipe: Recipe) -> float:
    """Half the length of the scan, mm."""
    return recipe.scanner.slices * recipe.scanner.spacing_mm / 2


def _site(model: PhantomModel, rng: Rng) -> tuple[PhantomModel, ...]:
    """One phantom, a few, or all that can be told from each other."""
    others = [one for one in MODELS.values() if _unlike(one, model) and one.id != CERTIFIED]
    count = int(rng.choice([0, 2, len(others)]))
    return (model, *(others[int(index)] for index in rng.permutation(len(others))[:count]))


def _unlike(one: PhantomModel, model: PhantomModel) -> bool:
    return one.model != model.model


def _with(recipe: Recipe, model: PhantomModel) -> Recipe:
    return replace(recipe, phantom=model)


def _certificate(model: PhantomModel, rng: Rng) -> PhantomModel:
    """The certificate of one phantom of a make: a few per cent off its catalogue values."""
    rods = tuple(
        replace(
            rod, density_mg_cm3=round(rod.density_mg_cm3 * (1 + float(rng.normal(0, 0.012))) + rng.normal(0, 0.6), 2)
        )
        for rod in model.rods
    )
    return replace(model, id="certified", serial="17", nominal=False, rods=rods)


def _varied(model: PhantomModel | None, kvp: float, seed: int, rng: Rng) -> tuple[Recipe, tuple[str, ...]]:
    """Scanner, pose, slab and faults of the kinds met in practice."""
    scanner = _scanner(kvp, rng)
    slab = _slab(model, scanner, rng)
    pose = Pose(
        roll=float(rng.normal(0, 4)),
        yaw=float(rng.normal(0, 3)),
        tilt=float(rng.normal(0, 1.5)),
        shift_left=float(rng.normal(0, 15)),
        gap=float(rng.choice([-3.0, 0.0, 2.0, 6.0, 15.0, 30.0], p=[0.15, 0.2, 0.2, 0.2, 0.15, 0.1])),
        mirrored=bool(rng.integers(2)),
        upside_down=bool(rng.integers(2)),
        prone=bool(rng.random() < 0.2),
    )
    if rng.random() < 0.15:
        pose = replace(pose, z_from=-60.0) if rng.random() < 0.5 else replace(pose, z_to=60.0)
    props, faults = _props(slab, rng)
    recipe = Recipe(
        model,
        scanner,
        pose,
        slab,
        pad_mm=float(rng.choice([0.0, 0.0, 10.0, 20.0])),
        body_half_mm=(float(rng.uniform(85, 135)), float(rng.uniform(130, 190))),
        centre_mm=(float(rng.uniform(-45, -20)), float(rng.normal(0, 10))),
        arms=bool(rng.integers(2)),
        tubes=bool(rng.integers(2)),
        bubbles=bool(rng.random() < 0.2),
        props=props,
        seed=seed,
    )
    found = [*faults, *(["sharp"] if scanner.sharp else []), *(["curved"] if slab.arc_radius else [])]
    found += ["sagging"] if slab.sag else []
    found += ["prone"] if pose.prone else []
    return _in_field(recipe), tuple(found)


def _scanner(kvp: float, rng: Rng) -> Scanner:
    spacing = float(rng.choice([0.5, 1.25, 2.0, 2.5, 3.0, 5.0], p=[0.05, 0.2, 0.2, 0.2, 0.2, 0.15]))
    length = float(rng.uniform(60, 100)) if spacing < 1 else float(rng.uniform(130, 280))
    return Scanner(
        sigma_ref=SIGMA_REF[kvp] + float(rng.uniform(-0.12, 0.12)),
        offset_hu=float(rng.uniform(-6, 6)),
        noise_hu=float(rng.choice([4, 8, 14, 22, 40], p=[0.2, 0.3, 0.25, 0.15, 0.1])),
        psf_mm=float(rng.uniform(0.5, 1.1)),
        pixel_mm=float(rng.uniform(1.5, 1.95)),
        spacing_mm=spacing,
        slices=int(length / spacing),
        drift_hu=float(rng.uniform(-4, 4)),
        ha_per_k2hpo4=float(rng.uniform(0.82, 1.02)),
        padding_hu=[None, -1024, OUTSIDE_FIELD_HU][int(rng.integers(3))],
        sharp=bool(rng.random() < 0.12),
    )


def _slab(model: PhantomModel | None, scanner: Scanner, rng: Rng) -> Slab:
    """A slab of a plausible geometry; the published one where there is one."""
    count = len(model.rods) if model else 3
    radius = float(rng.uniform(6.0, 11.0))
    if model is not None and model.rod_diameter_mm is not None:
        radius = model.rod_diameter_mm / 2
    pitch = float(np.clip(rng.uniform(150, 270) / max(count, 2), 2 * radius + 6, 75))
    margin = float(radius + rng.uniform(6, 30))
    if model is not None and model.slab_width_mm is not None:
        margin = 0.5 * (model.slab_width_mm - (count - 1) * (pitch := 42.0))
    base = float(rng.uniform(-70, 110))
    if model is not None and model.base_density_mg_cm3 is not None:
        _, sigma, beta = rod_truth(model, scanner)
        base = sigma * model.base_density_mg_cm3 + beta
    elif model is not None and len(model.rods) == 2 and rng.random() < 0.5:
        base = scanner.offset_hu + float(rng.uniform(-4, 4))
    shape = rng.random()
    return Slab(
        radius,
        pitch,
        thickness=float(2 * radius + rng.uniform(7, 16)),
        margin=margin,
        base_hu=base,
        arc_radius=float(rng.uniform(500, 1200)) if shape < 0.08 else None,
        sag=float(rng.uniform(1.0, 5.0)) if 0.08 < shape < 0.18 else 0.0,
    )


def _props(slab: Slab, rng: Rng) -> tuple[tuple[Prop, ...], tuple[str, ...]]:
    """Other things on the couch, each with its name."""
    under = slab.thickness + 6.0
    kinds: list[tuple[str, float, Prop]] = [
        ("sandbag", 0.10, Sandbag(float(rng.choice([-170.0, 170.0])))),
        ("cushion", 0.10, Cushion(float(rng.choice([-165.0, 165.0])), 10.0, (20.0, 25.0))),
        ("rails", 0.10, Rails(under + 34.0, (-90.0, 90.0), float(rng.uniform(5, 9)), float(rng.uniform(-150, 400)))),
        ("tubes", 0.08, Rails(-60.0, (-178.0, 178.0), 8.0, 300.0, -950.0)),
        ("wires", 0.15, Wires(tuple(float(x) for x in rng.uniform(-120, 120, size=3)))),
        ("metal", 0.10, Metal(float(rng.uniform(-60, 60)), -60.0, -30.0, float(rng.uniform(-20, 10)))),
    ]  # fmt: skip
    chosen = [(name, prop) for name, share, prop in kinds if rng.random() < share]
    return tuple(prop for _, prop in chosen), tuple(name for name, _ in chosen)


def decoys(recipe: Recipe, rng: Rng) -> Recipe:
    """More of what may be taken for a phantom, for a scan that holds none."""
    more: list[Prop] = []
    if rng.random() < 0.5:
        more.append(Insert(float(rng.uniform(-30, 30)), places=(0.0,) if rng.random() < 0.5 else (-45.0, 45.0)))
    if rng.random() < 0.4:
        more.append(Rails(40.0, (-80.0, 0.0, 80.0), float(rng.uniform(6, 9)), float(rng.uniform(60, 300))))
    if rng.random() < 0.4:
        more.append(Sandbag(0.0, 20.0, (18.0, 120.0), float(rng.uniform(300, 1200))))
    return replace(recipe, props=(*recipe.props, *more))


def _in_field(recipe: Recipe) -> Recipe:
    """A matrix that shows all phantoms wholly, as a radiographer would choose the field."""
    far = 0.0
    if recipe.phantom is not None:
        slabs = [(recipe.phantom, recipe.slab, recipe.pose.shift_left)]
        slabs += [(*recipe.below, 0.0)] if recipe.below is not None else []
        down = recipe.centre_mm[0] + recipe.body_half_mm[0] + recipe.pad_mm + max(recipe.pose.gap, 0.0)
        for model, slab, shift in slabs:
            half = (len(model.rods) - 1) / 2 * slab.pitch + slab.margin
            across = half + abs(shift) + 30.0 * abs(np.sin(np.radians(recipe.pose.yaw))) + 25.0
            down += slab.thickness + 20.0
            far = max(
                far, float(np.hypot(across, down) if recipe.scanner.padding_hu is not None else max(across, down))
            )
    wanted = max(far, recipe.body_half_mm[1] + 20.0)
    matrix = int(np.clip(2 * wanted / recipe.scanner.pixel_mm, 200, 340))
    return replace(recipe, scanner=replace(recipe.scanner, matrix=matrix))


def _cut(recipe: Recipe, rng: Rng) -> Recipe:
    """Moved so that the field cuts a rod: from the side, from below, or all but one away."""
    assert recipe.phantom is not None
    scanner = recipe.scanner
    edge = scanner.matrix * scanner.pixel_mm / 2
    last = (len(recipe.phantom.rods) - 1) / 2 * recipe.slab.pitch
    if rng.random() < 0.7:
        beyond = float(rng.uniform(0.0, 0.9 * 2 * last if rng.random() < 0.4 else recipe.slab.radius))
        shift = float(rng.choice([-1.0, 1.0])) * (edge - last + beyond)
        return replace(recipe, pose=replace(recipe.pose, shift_left=shift, yaw=0.0))
    down = edge - recipe.body_half_mm[0] + 6 - recipe.pad_mm - max(recipe.pose.gap, 0.0) - recipe.slab.thickness / 2
    centre = (down - float(rng.uniform(-0.5, 0.6)) * recipe.slab.radius, recipe.centre_mm[1])
    pose = replace(recipe.pose, roll=0.0, tilt=0.0, shift_left=0.0)
    return replace(recipe, centre_mm=centre, pose=pose, slab=replace(recipe.slab, arc_radius=None))


def _second_slab(model: PhantomModel) -> Slab:
    """Of a phantom that lies under another."""
    pitch = 34.0 if len(model.rods) > 4 else 44.0
    return Slab(radius=9.5, pitch=pitch, base_hu=0.0 if model.base_density_mg_cm3 is not None else 15.0)


def _noise_mg_cm3(recipe: Recipe) -> float:
    """Standard uncertainty of 100 mg/cm³ by the noise of the rods in about 46 mm of scan, from the known noise."""
    if recipe.phantom is None:
        return 0.0
    scanner, rods = recipe.scanner, recipe.phantom.rods
    pixels = np.pi * (recipe.slab.radius - 2.8) ** 2 / scanner.pixel_mm**2
    slices = min(scanner.slices, 46.0 / scanner.spacing_mm)
    of_rod = scanner.noise_hu * np.sqrt(2.5 / (pixels * slices))
    density = np.array([rod.density_mg_cm3 for rod in rods])
    design = np.column_stack([density, np.ones_like(density)])
    covariance = of_rod**2 * np.linalg.inv(design.T @ design)
    slope = rod_truth(recipe.phantom, scanner)[1]
    gradient = np.array([100.0, 1.0]) / slope
    return float(np.sqrt(gradient @ covariance @ gradient))
