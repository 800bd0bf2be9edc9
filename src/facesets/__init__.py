"""facesets: clean, numbered face sets, one per person, from an Immich library or a folder of photos.

As a library: :class:`Workspace`, :func:`run_pipeline`, the room :mod:`facesets.people`, :func:`export_to`, :func:`cluster` and
:func:`average_linkage`.
"""

import os

TYPE_CHECKING = False  # typing itself is not imported: until the command line has its handler, a Ctrl-C would be a traceback
if TYPE_CHECKING:
    from facesets import people
    from facesets.clustering.cluster import cluster
    from facesets.clustering.linkage import average_linkage
    from facesets.pipeline import run as run_pipeline
    from facesets.targets import export_to
    from facesets.workspace import Workspace

__all__ = ["Workspace", "__version__", "average_linkage", "cluster", "export_to", "people", "run_pipeline"]
__version__ = "0.1.0"

# onnxruntime (seen in 1.31.1) makes a device id in the user's cache folder and collects its use for upload, unless it is told not to
# before its import. Nothing leaves the machine unasked, so it is told here, where every import of ours passes.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# name -> the room whose door shows it, and its name there; loaded when asked for, so that the command line need not wait for them
_EXPORTS = {
    "Workspace": ("facesets.workspace", "Workspace"),
    "average_linkage": ("facesets.clustering", "average_linkage"),
    "cluster": ("facesets.clustering", "cluster"),
    "export_to": ("facesets.targets", "export_to"),
    "run_pipeline": ("facesets.pipeline", "run"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - as typing above

    if name == "people":
        return import_module("facesets.people")
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, theirs = _EXPORTS[name]
    return getattr(import_module(module), theirs)
