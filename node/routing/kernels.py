"""Reconstruction kernels: does one sharpen edges? The answer orders the series of a study; rules may ask for it.

A sharp kernel overshoots at the cortex and adds noise; mean HU of trabecular bone changes little, edges a good deal.
"""

from __future__ import annotations

import re
from typing import Literal

KernelClass = Literal["standard", "sharp", "unknown"]

_WORDS_STANDARD = r"STANDARD|STD|STND|SOFT|SMOOTH|VSOFT|BODY|ABDOMEN|MEDIASTINUM"
_WORDS_SHARP = r"LUNG|BONE|BONEPLUS|EDGE|ULTRA|CHST|DETAIL|SHARP|VSHARP|HD|YA\s*SHARP"

TABLE: tuple[tuple[str, str, KernelClass, str], ...] = (
    # Siemens: a number of two digits orders all kernels by sharpness. The operating instructions of the SOMATOM
    # Sensation Cardiac call B30 and B40 standard and offer B50 to B80 "for higher sharpness". The newer names (Br40d,
    # Bl57, Qr36, Hr68) keep the number.
    (r"siemens", r"^[A-Z][A-Z]?[1-4]\d(?!\d)", "standard", "operating instructions, SOMATOM Sensation Cardiac A60"),
    (r"siemens", r"^[A-Z][A-Z]?[5-9]\d(?!\d)", "sharp", "the same"),
    # GE: names say it. CHST (chest) and DETAIL enhance edges somewhat.
    (r"^ge\b|general electric", r"^(STANDARD|STND|STD|SOFT)\b", "standard", "vendor's names"),
    (r"^ge\b|general electric", r"^(LUNG|BONE|BONEPLUS|EDGE|ULTRA|CHST|DETAIL|HD)", "sharp", "vendor's names"),
    # Philips: letters in order of sharpness, A smoothest; L lung; Y.. the same with adaptive filter; common use, no
    # published table was found.
    (r"philips", r"^(Y?[ABC]|U[ABC]|I?BRAIN|STANDARD|SMOOTH)$", "standard", "common use"),
    (r"philips", r"^(Y?[DEFL]|Y?[DEFL]\w|E[BC]|SHARP.*|DETAIL|LUNG.*|BONE.*)$", "sharp", "common use"),
    # Canon (Toshiba): FC01 to FC29 soft tissue of body and head, FC30 to FC39 and FC80 up bone, FC50 to FC59 lung
    # (FC13 soft tissue, FC55 lung: synapse.koreamed.org/articles/1099806); FC40s, FC60s and FC70s: not classed.
    (r"toshiba|canon", r"^FC[012]\d", "standard", "vendor's groups of ten"),
    (r"toshiba|canon", r"^FC[358]\d", "sharp", "vendor's groups of ten"),
    # United Imaging: B_SOFT_A, B_SHARP_C, H_VSOFT_B ...
    (r"uih|united imaging", r"SOFT|SMOOTH|STANDARD", "standard", "vendor's names"),
    (r"uih|united imaging", r"SHARP|LUNG|BONE|EDGE", "sharp", "vendor's names"),
    # Anybody whose kernel is named by a word.
    (r"", rf"(^|[\W_])({_WORDS_SHARP})($|[\W_])", "sharp", "the word itself"),
    (r"", rf"(^|[\W_])({_WORDS_STANDARD})($|[\W_+])", "standard", "the word itself"),
)
"""(manufacturer, kernel, class, source): the first row whose two expressions are found decides."""


def kernel_class(manufacturer: str | None, kernel: str | None) -> KernelClass:
    """Class of a Convolution Kernel (0018,1210); of several values the first names the kernel."""
    name = (kernel or "").split("\\")[0].strip().upper()
    if not name:
        return "unknown"
    for maker, pattern, answer, _ in TABLE:
        if re.search(maker, manufacturer or "", re.IGNORECASE) and re.search(pattern, name):
            return answer
    return "unknown"
