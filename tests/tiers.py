"""Which tests are the fast tier (``pytest -m fast``), and which need a browser: said here, by room and module, not in each file.

The fast tier is for whoever has just changed a line: meant to take a minute on two cores, and to see at least 70 %
of each room, without which ``.ci/run`` fails (``.ci/coverage_by_room.py`` prints it). A module stands here when its tests are cheap
for what they see, or some of its tests do by name. Left out of it is what asks for one of ``HEAVY``, what is marked slow (a second or
more of a processor, or a wait), and of what runs once a dialect of Immich all but the newest. The other modules are not even imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

FAST = (
    "test_no_clock.py",
    "test_rooms.py",
    "test_settings.py",
    "test_workspace.py",
    "cli/test_bad_input.py",
    "cli/test_login.py",
    "cli/test_reference.py",
    "changes/*",
    "clustering/test_scoring.py",
    "clustering/test_sparse_linkage.py",
    "doctor/*",
    "exchange/*",
    "export/*",
    "faces/test_describe.py",
    "faces/test_known_boxes.py",
    "faces/test_queue_worker.py",
    "identity/test_constraints.py",
    "identity/test_decide.py",
    "immich/*",
    "models/test_immich_ml.py",
    "models/test_onnx_format.py",
    "models/test_packs.py",
    "models/test_published.py",
    "people/test_acts.py",
    "people/test_calibrate.py",
    "people/test_eras.py::test_a_person_whose_looks_moved_gets_eras_and_the_set_keeps_every_byte",
    "people/test_eras.py::test_eras_follow_a_decision_and_its_undo",
    "people/test_names.py",
    "people/test_restored.py::test_accepted_a_set_made_here_is_still_recognised",
    "photos/test_align.py",
    "photos/test_colour_spaces.py",
    "photos/test_crops.py",
    "photos/test_decode.py",
    "photos/test_decoder_pool.py",
    "photos/test_memory.py",
    "photos/test_xmp_regions.py",
    "pipeline/test_caches.py::test_a_cache_is_not_trusted_and_what_is_not_taken_is_counted",
    "pipeline/test_run.py::test_a_library_becomes_one_set_a_person",
    "pipeline/test_run.py::test_a_set_that_its_owner_thinned_out_is_said_until_it_is_accepted",
    "pipeline/test_run.py::test_next_months_photos_find_their_people_and_move_nothing",
    "publish/test_story.py",
    "registry/*",
    "report/test_stories.py",
    "review/test_decide.py",
    "review/test_guard.py",
    "review/test_pages.py",
    "sources/*",
    "staging/test_filters.py",
    "staging/test_stage.py",
    "targets/test_every_target.py",
    "targets/test_originals.py::test_originals_are_fetched_again_and_nothing_of_them_stays",
    "targets/test_table.py",
    "testing/test_immich_faults.py",
    "testing/test_immich_server.py",
    "testing/test_immich_shapes.py",
    "testing/test_immich_writes.py",
    "testing/test_services.py",
)
HEAVY = frozenset({"shared", "postgres", "open_pack", "browser"})
SLOW = "slow"
BROWSER = "browser"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def has_fast(module: str) -> bool:
    """True where tests of this module (``room/test_x.py``, as below tests/) may belong to the fast tier."""
    return any(fnmatchcase(module, pattern.partition("::")[0]) for pattern in FAST)


def is_fast(module: str, test: str, fixtures: frozenset[str]) -> bool:
    """True where this test of a module belongs to the fast tier, given the fixtures that it asks for."""
    return not HEAVY & fixtures and any(fnmatchcase(name, pattern) for name in (module, f"{module}::{test}") for pattern in FAST)


def dialect(parameters: Iterable[object]) -> tuple[int, ...]:
    """The version of Immich among a test's parameters; of a test that has none, nothing."""
    versions = [each for each in parameters if isinstance(each, str) and _VERSION.fullmatch(each)]
    return tuple(map(int, versions[0].split("."))) if versions else ()
