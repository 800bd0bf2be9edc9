"""facesets.toml and the environment, read into one typed, frozen Settings. Keys are no settings: see :mod:`facesets.secrets`."""

from __future__ import annotations

from facesets.settings.load import LABEL, import_users, labels, load, put
from facesets.settings.sections import (
    SECTIONS,
    SETTINGS_FILE,
    ClusterSettings,
    ErasSettings,
    ExportSettings,
    ImmichDumpSettings,
    ImmichSettings,
    PathSettings,
    Settings,
    StageSettings,
)
from facesets.settings.targets import TargetSettings
from facesets.settings.template import documented, takes, template

__all__ = [
    "LABEL",
    "SECTIONS",
    "SETTINGS_FILE",
    "ClusterSettings",
    "ErasSettings",
    "ExportSettings",
    "ImmichDumpSettings",
    "ImmichSettings",
    "PathSettings",
    "Settings",
    "StageSettings",
    "TargetSettings",
    "documented",
    "import_users",
    "labels",
    "load",
    "put",
    "takes",
    "template",
]
