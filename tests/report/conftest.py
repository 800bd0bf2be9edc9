"""The report's tests use the furnished workspace of the export room's."""

from tests.export.conftest import *  # noqa: F403 - its fixtures
