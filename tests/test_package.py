"""What ``import facesets`` gives, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import facesets


def test_the_package_shows_these_names_and_no_others() -> None:
    assert facesets.__all__ == ["Workspace", "__version__", "average_linkage", "cluster", "export_to", "people", "run_pipeline"]


def test_each_name_is_the_rooms_own() -> None:
    from facesets.clustering import average_linkage, cluster  # noqa: PLC0415
    from facesets.pipeline import run  # noqa: PLC0415
    from facesets.targets import export_to  # noqa: PLC0415
    from facesets.workspace import Workspace  # noqa: PLC0415

    assert facesets.Workspace is Workspace
    assert facesets.run_pipeline is run
    assert facesets.cluster is cluster
    assert facesets.average_linkage is average_linkage
    assert facesets.export_to is export_to
    assert callable(facesets.people.merge)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'clutser'"):
        facesets.clutser  # noqa: B018


def loaded(code: str) -> set[str]:
    text = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_no_room() -> None:
    names = loaded("import facesets")
    assert not {name for name in names if name.startswith("facesets.")} | {"numpy", "click"} & names


def test_the_help_loads_neither_numpy_nor_a_database_nor_any_verb() -> None:
    names = loaded("from facesets.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not {"numpy", "sqlite3", "rich", "msgspec", "urllib3", "facesets.cli.run"} & names
