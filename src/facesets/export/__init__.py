"""Export room: sets on disk. Aligned crops, numbered folders, the manifest, the proof that they are intact, and the report."""
