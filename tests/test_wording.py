"""Numbers, sizes and dates as messages say them."""

from __future__ import annotations

import pytest

from facesets.reason_texts import FACE_STATES, FILE_STATES, SENTENCES, STATES, is_face_reason
from facesets.records import Reason, State
from facesets.wording import count_of, counts_line, listed, plural, printable, size_of


@pytest.mark.parametrize(
    ("n", "word", "said"),
    [(0, "photo", "0 photos"), (1, "photo", "1 photo"), (12345, "more face", "12,345 more faces"), (2, "person", "2 people")],
)
def test_counts_have_their_plural(n: int, word: str, said: str) -> None:
    assert count_of(n, word) == said


def test_verbs_go_with_their_number() -> None:
    assert (plural(1, "is"), plural(2, "is"), plural(0, "was")) == ("is", "are", "were")


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (3_400_000, "3.4 MB"),
        (5 * 10**15, "5,000.0 TB"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(size: int, said: str) -> None:
    assert size_of(size) == said


def test_lists_read_like_speech() -> None:
    assert [listed(""), listed("a"), listed("ab"), listed("abc")] == ["", "a", "a and b", "a, b and c"]


def test_a_total_names_its_parts_as_people_do() -> None:
    assert counts_line("face", {State.IN_SET: 2, State.LEFT_OUT: 1, State.MATCHED: 0}, STATES) == "3 faces: 2 in a set, 1 left out"
    assert counts_line("file", {}, STATES) == "0 files"


def test_names_of_any_script_are_shown_and_control_characters_are_not() -> None:
    for name in ("שרה 娜 Zoë", "👩‍👧 می‌خواهم　山田"):  # joiners, and a wide space
        assert printable(name) == name
    assert printable("a\x1b[2J\n\u202eb\u2066") == r"a\u001b[2J\u000a\u202eb\u2066"
    assert printable("a\tb\n\r", keep="\t\n") == "a\tb\n\\u000d"


def test_every_reason_and_state_has_its_words_and_its_place() -> None:
    assert set(SENTENCES) == set(Reason)
    assert set(STATES) == set(State)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in SENTENCES.values())
    for reason in Reason:
        assert reason.state in (FACE_STATES if is_face_reason(reason) else (*FILE_STATES, State.GONE))
