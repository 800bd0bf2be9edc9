"""What fails for long holds up no set, and is still asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from facesets.errors import SourceAway
from facesets.records import Reason
from facesets.testing import Asset, Fault, ImmichServer, Library, User, faults
from tests.immich.photos import BIG, photo

from .home import Home
from .test_stage import refuse

ORIGINAL = "GET /api/assets/{id}/original"
DAY = timedelta(days=1)


@dataclass
class Calendar:
    """A clock that a test turns on."""

    now: datetime = field(default_factory=lambda: datetime(2026, 5, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def calendar(home: Home) -> Calendar:
    home.clock = Calendar()
    return home.clock


@pytest.fixture
def sick(library: Library, anna: User) -> Asset:
    return library.photo(anna, photo(1), faces=[BIG])


def give_up(home: Home, server: ImmichServer, anna: User, calendar: Calendar) -> None:
    for _ in range(3):
        home.stage(server, anna)
        calendar.now += 2 * DAY


@pytest.mark.parametrize(
    "fault", [faults.status(500), faults.status(503), faults.swapped(photo(9)), faults.html()], ids=lambda one: one.name
)
def test_what_failed_in_three_runs_over_three_days_is_given_up_and_said(
    library: Library, anna: User, server: ImmichServer, home: Home, calendar: Calendar, sick: Asset, fault: Fault
) -> None:
    well = library.photo(anna, photo(2), faces=[BIG])
    server.faults.add(fault, ORIGINAL, containing=sick.id)
    for days in (0, 1, 1):
        calendar.now += days * DAY
        home.stage(server, anna)
        assert home.reasons() == {sick.id: Reason.DOWNLOAD_ERROR, well.id: Reason.STAGED}
    calendar.now += DAY
    home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.NOT_AVAILABLE, well.id: Reason.STAGED}
    assert any("1 photo failed in 3 runs over 3 days and no longer holds up the sets" in note for note in home.said.notes)


def test_three_days_in_two_runs_are_not_enough(server: ImmichServer, anna: User, home: Home, calendar: Calendar, sick: Asset) -> None:
    server.faults.add(faults.status(503), ORIGINAL)
    home.stage(server, anna)
    calendar.now += 30 * DAY
    home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.DOWNLOAD_ERROR}


def test_a_run_in_which_the_source_was_away_counts_for_nothing(
    library: Library, anna: User, server: ImmichServer, home: Home, calendar: Calendar
) -> None:
    for number in range(30):
        library.photo(anna, photo(number), faces=[BIG])
    server.faults.add(faults.status(503), ORIGINAL)
    for _ in range(4):
        with pytest.raises(SourceAway, match="stopped answering"):
            home.stage(server, anna, attempts=1)
        calendar.now += 2 * DAY
    server.faults.clear()
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 30}


def test_what_was_given_up_is_asked_for_once_a_week(
    server: ImmichServer, anna: User, home: Home, calendar: Calendar, sick: Asset
) -> None:
    server.faults.add(faults.status(503), ORIGINAL)
    give_up(home, server, anna, calendar)
    assert home.reasons() == {sick.id: Reason.NOT_AVAILABLE}
    asked = []
    for _ in range(16):  # the last attempt was two days ago
        server.requests.clear()
        home.stage(server, anna)
        asked.append(server.count(ORIGINAL) > 0)
        assert home.reasons() == {sick.id: Reason.NOT_AVAILABLE}
        calendar.now += DAY
    assert [day for day, was in enumerate(asked) if was] == [5, 12]
    server.faults.clear()
    calendar.now += 7 * DAY
    home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.STAGED}


def test_an_original_refused_at_once_is_asked_for_once_a_week_too(
    server: ImmichServer, anna: User, home: Home, calendar: Calendar, sick: Asset
) -> None:
    server.faults.add(faults.Fault("gone", answer=refuse), ORIGINAL)
    home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.NOT_AVAILABLE}
    for days, asked in ((1, 0), (5, 0), (1, 1), (6, 0), (1, 1)):
        calendar.now += days * DAY
        server.requests.clear()
        home.stage(server, anna)
        assert server.count(ORIGINAL) == asked, calendar.now


@pytest.mark.parametrize("changed", ["checksum", "date", "full"])
def test_what_was_given_up_is_asked_for_when_it_changes_or_everything_is_listed(
    library: Library, anna: User, server: ImmichServer, home: Home, calendar: Calendar, sick: Asset, changed: str
) -> None:
    server.faults.add(faults.swapped(photo(9)), ORIGINAL)
    give_up(home, server, anna, calendar)
    assert home.reasons() == {sick.id: Reason.NOT_AVAILABLE}
    assert any("The file of 1 photo is not what the server lists" in note for note in home.said.notes)
    server.faults.clear()
    if changed == "checksum":
        sick.data, sick.sha1, sick.size = photo(9), hashlib.sha1(photo(9)).digest(), len(photo(9))
    if changed != "full":
        sick.updated_at = library.now()
    home.stage(server, anna, full=changed == "full")
    assert home.reasons() == {sick.id: Reason.STAGED}
