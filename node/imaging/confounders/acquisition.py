"""Confounders that the header tells: tube voltage, kernel, slice thickness, table height."""

from __future__ import annotations

from collections.abc import Iterator

from node.domain.findings import Caution, Effect
from node.domain.instance import InstanceHeader
from node.domain.settings import CategoryLimits, ConfounderPolicies
from node.domain.volume import Volume
from node.imaging.standard import SAME_KV


def caution(code: str, sentence: str, effect: Effect) -> Caution:
    """A caution that says itself when it withholds the category."""
    return Caution(code, f"{sentence} Not classified." if effect == "withhold" else sentence, effect)


def of_header(
    header: InstanceHeader, volume: Volume, limits: CategoryLimits, policies: ConfounderPolicies
) -> Iterator[Caution]:
    """Return what the acquisition attributes say. Attributes that are absent say nothing."""
    if header.kvp is not None and abs(header.kvp - limits.kvp) > SAME_KV:
        sentence = f"Scanned at {header.kvp:.0f} kV: the limits are validated for {limits.kvp:.0f} kV."
        yield caution("kvp", sentence, policies.kvp)
    thickness = max(header.slice_thickness_mm or 0.0, volume.spacing_mm[0])
    if thickness > policies.thick_slices_mm + 0.05:
        sentence = f"Slices are {thickness:.3g} mm thick: not reliable for heights and fractures."
        yield caution("thick-slices", sentence, policies.thick_slices)
    height = header.table_height_mm
    if height is not None and height != 0.0:
        low, high = policies.min_table_height_mm, policies.max_table_height_mm
        if not low <= abs(height) <= high:
            sentence = (
                f"The table stood {abs(height):.0f} mm from the centre of rotation, outside {low:.0f} to {high:.0f} mm."
            )
            yield caution("table-height", sentence, policies.table_height)
