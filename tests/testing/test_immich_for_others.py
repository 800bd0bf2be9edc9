"""The testing server is a library for others too: its public names, its documented example, its fixtures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import facesets.testing
from facesets.testing import faults

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "test-with-immich.md"

PUBLIC = {
    *("Album", "ApiKey", "Asset", "Box", "Edit", "Exchange", "Exif", "ExternalLibrary", "Face", "Fault", "Faults", "ImmichServer"),
    *("Library", "Partner", "Person", "Stack", "Tag", "User", "faults", "immich_server"),
}
FAULTS = {
    *(
        "bad_gzip",
        "closed_after",
        "cut_clean",
        "dropped",
        "failed_after_writing",
        "foreign_owner",
        "hook",
        "html",
        "null_people",
        "overlong",
        "padded",
    ),
    *("redirect", "restarting", "slow", "stalled", "status", "swapped", "too_many_requests", "truncated", "unknown_fields"),
    *("unknown_values", "wrong_length", "zero_sized"),
}


def test_the_public_names_are_these() -> None:
    assert set(facesets.testing.__all__) == PUBLIC
    assert all(hasattr(facesets.testing, name) for name in PUBLIC)
    made = {n for n, v in vars(faults).items() if getattr(v, "__annotations__", {}).get("return") == "Fault" and not n.startswith("_")}
    assert made == FAULTS


def test_every_fault_is_in_the_guide_and_the_guides_code_runs() -> None:
    text = GUIDE.read_text()
    assert {name for name in FAULTS if f"`{name}(" not in text} == set()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    exec(compile(code, str(GUIDE), "exec"), {"__name__": "guide"})


def test_another_suite_gets_a_running_server_as_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["facesets.testing.fixtures"]\n')
    (tmp_path / "test_mine.py").write_text(
        "import httpx\n"
        "def test_it_runs(immich, immich_library, immich_faults):\n"
        "    with httpx.Client(base_url=immich.url, headers={'x-api-key': immich.key_for('anna')}) as client:\n"
        "        assert client.get('/api/users/me').json()['name'] == 'anna'\n"
        "        assert client.get('/api/server/version').json()['major'] == 3\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    theirs = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=theirs, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_nothing_of_the_testing_room_is_loaded_by_the_product() -> None:
    code = "import sys, facesets.cli, facesets.pipeline; print([m for m in sys.modules if m.startswith('facesets.testing')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_testing_server_imports_no_other_room() -> None:
    for path in (ROOT / "src" / "facesets" / "testing" / "immich").rglob("*.py"):
        depth = len(path.relative_to(ROOT / "src" / "facesets" / "testing").parts)
        assert not re.search(rf"^from \.{{{depth + 1},}}|facesets\.(?!testing)", path.read_text(), re.MULTILINE), path
