"""What a calibration of a series is valid for: scanner, kVp and kernel class."""

from __future__ import annotations

from datetime import date

from node.domain.instance import Series
from node.domain.quality import ScannerKey
from node.routing.facts import facts_of, is_slice
from node.routing.kernels import kernel_class


def scanner_key(series: Series) -> ScannerKey | None:
    """Device serial number (without one, station name), kVp and kernel class; ``None`` where the series does not tell.

    Images of several kVp or of several scanners tell nothing.
    """
    headers = [one.header for one in series.instances if is_slice(one.header)]
    serials = {(one.device_serial_number or "").strip() for one in headers}
    stations = {(one.station_name or "").strip() for one in headers}
    voltages = {one.kvp for one in headers}
    names = serials if any(serials) else stations
    if len(names) != 1 or len(voltages) != 1:
        return None
    (name,), (kvp,) = names, voltages
    if not name or not kvp:
        return None
    facts = facts_of(series)
    return ScannerKey(
        name[:64], float(round(kvp)), kernel_class(facts.text("manufacturer"), facts.text("convolution_kernel"))
    )


def scan_date(series: Series) -> date | None:
    """Study Date (0008,0020), where it is one."""
    for one in series.instances:
        text = one.header.study_date or ""
        if len(text) == 8 and text.isdigit():
            try:
                return date(int(text[:4]), int(text[4:6]), int(text[6:]))
            except ValueError:
                continue
    return None
