"""facesets: clean, numbered face sets, one per person, from an Immich library or a folder of photos."""

import os

__version__ = "0.1.0"

# onnxruntime (seen in 1.31.1) makes a device id in the user's cache folder and collects its use for upload, unless it is told not to
# before its import. Nothing leaves the machine unasked, so it is told here, where every import of ours passes.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
