"""facesets: clean, numbered face sets, one per person, from an Immich library or a folder of photos."""

__version__ = "0.1.0"
