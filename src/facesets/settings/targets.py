"""The sections of facesets.toml for targets of exports, one a consumer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from facesets.settings.fields import between, setting

_Count = Annotated[int, between(0, 100_000)]
_NO_LIMIT = "0: no limit."
_Years = Annotated[int, between(0, 200)]
_ERA = "Photos of so many years together, the span that has most: people change. 0: of all years."


@dataclass(frozen=True, slots=True)
class FrigateSettings:
    """Frigate's face library, as files or through its API. FRIGATE_TOKEN in the environment, where it asks for one."""

    url: str = setting("", "Its address, e.g. http://frigate:5000 (--url wins over this).")
    count: _Count = setting(30, f"Images a person at most; fewer where more would not help. Frigate recommends 20 to 30. {_NO_LIMIT}")


@dataclass(frozen=True, slots=True)
class CompreFaceSettings:
    """CompreFace's API. COMPREFACE_API_KEY in the environment: the key of a recognition service."""

    url: str = setting("", "Its address, e.g. http://compreface:8000 (--url wins over this).")
    count: _Count = setting(20, f"Pictures a person at most. {_NO_LIMIT}")


@dataclass(frozen=True, slots=True)
class DoubleTakeSettings:
    """double-take's API. DOUBLETAKE_TOKEN in the environment, where it asks for one."""

    url: str = setting("", "Its address, e.g. http://double-take:3000 (--url wins over this).")
    count: _Count = setting(20, f"Pictures a person at most. {_NO_LIMIT}")


@dataclass(frozen=True, slots=True)
class XmpSettings:
    """Sidecars for digiKam, PhotoPrism and Immich."""

    sidecar: Literal["IMG.jpg.xmp", "IMG.xmp", "both"] = setting(
        "IMG.jpg.xmp", "How a photo's sidecar is called: as digiKam and Immich do, as Lightroom does, or both."
    )


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """A training folder for a LoRA."""

    count: _Count = setting(30, f"Pictures at most; trainers recommend 15 to 30. {_NO_LIMIT}")
    era_years: _Years = setting(6, _ERA)
    trigger: str = setting("", "The word that stands for the person in captions; empty: made of the name.")
    class_word: str = setting("person", "What follows the trigger: person, woman, man, ...")
    repeats: Annotated[int, between(1, 1000)] = setting(10, "How often trainers go through the pictures in an epoch.")
    repeats_folder: bool = setting(False, "Name the folder of pictures <repeats>_<trigger> <class>, as kohya's older scripts want it.")
    path: str = setting("", "Where the trainer finds the folder, if that is not where it is written (a container, say).")


@dataclass(frozen=True, slots=True)
class FszSettings:
    """roop-unleashed's face sets."""

    count: _Count = setting(12, f"Faces at most: 8 to 12 of one era swap best. {_NO_LIMIT}")
    era_years: _Years = setting(6, _ERA)


@dataclass(frozen=True, slots=True)
class ReactorSettings:
    """ReActor's face models."""

    count: _Count = setting(12, f"Faces at most that are averaged. {_NO_LIMIT}")
    era_years: _Years = setting(6, _ERA)


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """Plain images."""

    count: _Count = setting(20, f"Images a person at most, the most telling first. {_NO_LIMIT}")


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """What is handed on. Every person's own: facesets consent."""

    frigate: FrigateSettings = field(default_factory=FrigateSettings)
    compreface: CompreFaceSettings = field(default_factory=CompreFaceSettings)
    doubletake: DoubleTakeSettings = field(default_factory=DoubleTakeSettings)
    xmp: XmpSettings = field(default_factory=XmpSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    fsz: FszSettings = field(default_factory=FszSettings)
    reactor: ReactorSettings = field(default_factory=ReactorSettings)
    folder: FolderSettings = field(default_factory=FolderSettings)

    def of(self, target: str) -> object:
        """The settings of a target; None where it has none."""
        return getattr(self, target.removesuffix("-api"), None)
