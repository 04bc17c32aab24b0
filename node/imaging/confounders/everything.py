"""All confounders of one scan, as cautions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.domain.findings import Caution
from node.domain.phantom import Calibration
from node.domain.settings import ConfounderPolicies, MeasurementSettings
from node.domain.spine import Vertebra, Voi
from node.domain.volume import Volume
from node.imaging import density
from node.imaging.body import Scene
from node.imaging.confounders import contrast, metal, position, texture
from node.imaging.confounders.acquisition import caution, of_header
from node.imaging.confounders.contrast import Enhancement
from node.imaging.standard import Circumstances


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was found in header and image."""

    cautions: tuple[Caution, ...]
    enhancement: Enhancement
    contrast: bool
    """By header or image."""


def find(
    volume: Volume,
    scene: Scene,
    vertebrae: Sequence[Vertebra],
    vois: Mapping[str, Voi],
    settings: MeasurementSettings,
    circumstances: Circumstances,
) -> Seen:
    """Return every confounder of a scan, judged at the vertebrae that may be measured (else at all)."""
    wanted = (*settings.levels.targets, *settings.levels.substitutes)
    measured = {level: voi for level, voi in vois.items() if level in wanted and voi.volume_mm3 > 0}
    measured = measured or {level: voi for level, voi in vois.items() if voi.volume_mm3 > 0}
    policies, header = settings.confounders, circumstances.header
    enhancement = contrast.seen(scene, vertebrae)
    by_image = enhancement.contrast(policies.contrast_aorta_hu)
    found = [
        *_contrast(header.contrast_bolus_agent, enhancement, by_image, policies),
        *of_header(header, volume, settings.category, policies),
        *_kernel(volume, tuple(measured.values()), circumstances, policies),
        *_position(volume, scene, measured, circumstances, policies),
        *_metal(volume, measured, policies),
    ]
    if circumstances.quality.out_of_control:
        sentence = f"The scanner's calibration is out of control: {circumstances.quality.out_of_control.rstrip('.')}."
        found.append(caution("out-of-control", sentence, policies.out_of_control))
    return Seen(tuple(found), enhancement, bool(header.contrast_bolus_agent) or by_image)


def random_error(measured: Sequence[tuple[Voi, Calibration]], policies: ConfounderPolicies) -> tuple[Caution, ...]:
    """Return the caution of a mean that image noise leaves unknown."""
    expanded = density.noise_of_mean(measured)
    if expanded <= policies.noise_mg_cm3:
        return ()
    sentence = (
        f"Image noise alone makes the mean uncertain by {expanded:.1f} mg/cm³ (k = 2), more than "
        f"{policies.noise_mg_cm3:g}."
    )
    return (caution("noise", sentence, policies.noise),)


def _contrast(
    agent: str | None, enhancement: Enhancement, by_image: bool, policies: ConfounderPolicies
) -> Iterator[Caution]:
    """Tags lie in both directions: each alone is enough, and the sentence says which."""
    if not agent and not by_image:
        return
    aorta = "not found" if enhancement.aorta_hu is None else f"{enhancement.aorta_hu:.0f} HU"
    kidneys = enhancement.kidneys_hu
    image = f"aorta {aorta}" + (f", kidneys {kidneys[0]:.0f} and {kidneys[1]:.0f} HU" if kidneys else "")
    if agent and by_image:
        sentence = f"Contrast medium was given ({image})"
    elif agent:
        sentence = f"Contrast medium was given according to the header; the image does not show it ({image})"
    else:
        sentence = f"The image shows contrast medium though the header names none ({image})"
    yield caution("contrast", f"{sentence}: density reads too high, by about 7 to 8 %.", policies.contrast)


def _kernel(
    volume: Volume,
    vois: tuple[Voi, ...],
    circumstances: Circumstances,
    policies: ConfounderPolicies,
) -> Iterator[Caution]:
    name = circumstances.header.convolution_kernel or "not stated"
    frequency = texture.mean_frequency_per_mm(volume, vois)
    sharp = frequency is not None and frequency >= texture.SHARP_PER_MM
    noise = "" if frequency is None else f"; mean frequency of the noise {frequency:.2f} per mm"
    if circumstances.kernel_class == "sharp":
        sentence = f"Sharp reconstruction kernel ({name}{noise}): edges overshoot, and vBMD moves by about 3 mg/cm³."
        yield caution("sharp-kernel", sentence, policies.sharp_kernel)
    elif sharp:
        sentence = f"The noise is that of a sharp reconstruction kernel (kernel {name}{noise})."
        yield caution("sharp-kernel", sentence, policies.sharp_kernel)


def _position(
    volume: Volume,
    scene: Scene,
    vois: Mapping[str, Voi],
    circumstances: Circumstances,
    policies: ConfounderPolicies,
) -> Iterator[Caution]:
    if not vois:
        return
    heights = [voi.centre_lps_mm[2] for voi in vois.values()]
    z = min(heights) - 5.0, max(heights) + 5.0
    part = position.truncated_part(scene, z)
    if part > policies.truncated_part:
        sentence = f"The field of view cuts the body: {100 * part:.0f} % of its outline at {', '.join(vois)}."
        yield caution("truncated", sentence, policies.truncated)
        return
    place = position.centring(volume, scene, circumstances.header, z)
    if place is not None and place.distance_mm > policies.off_centre_mm + place.tolerance_mm:
        left, back = place.left_mm, place.posterior_mm
        sentence = (
            f"The patient lies {place.distance_mm:.0f} mm off the centre of rotation "
            f"({abs(left):.0f} mm to the {'left' if left > 0 else 'right'}, "
            f"{abs(back):.0f} mm to the {'back' if back > 0 else 'front'}"
            f"{'; centre inferred from the images' if place.tolerance_mm else ''})."
        )
        yield caution("off-centre", sentence, policies.off_centre)


def _metal(volume: Volume, vois: Mapping[str, Voi], policies: ConfounderPolicies) -> Iterator[Caution]:
    amounts = {level: metal.volume_mm3(volume, voi) for level, voi in vois.items()}
    much = {level: amount for level, amount in amounts.items() if amount > policies.metal_mm3}
    if much:
        where = ", ".join(f"{level} ({amount:.0f} mm³)" for level, amount in much.items())
        yield caution("metal", f"Metal in the slices of {where}: streaks may reach the vertebra.", policies.metal)
