"""Vectors as pgvector writes them come out to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesets.errors import BadAnswer
from facesets.sources.vector_text import parse_vector

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def text(values: list[float]) -> bytes:
    return ("[" + ",".join(str(np.float32(value)) for value in values) + "]").encode()


@pytest.mark.slow
@given(st.lists(st.lists(NUMBERS, min_size=1, max_size=9), max_size=5))
@settings(max_examples=300, deadline=None)
def test_every_number_comes_out_as_it_went_in(vectors: list[list[float]]) -> None:
    found = [parse_vector(text(vector)) for vector in vectors]
    assert [one.tobytes() for one in found] == [np.array(vector, np.float32).tobytes() for vector in vectors]


def test_a_hundred_thousand_of_the_size_that_vectors_have() -> None:
    kept = np.random.default_rng(1).standard_normal((200, 512)).astype(np.float32)
    found = [parse_vector(text(vector.tolist())) for vector in kept]
    assert np.array(found).tobytes() == kept.tobytes()


@given(st.text("0123456789.-+e,_ xn", max_size=24))
@settings(max_examples=500, deadline=None)
def test_what_float_takes_is_taken_and_what_it_refuses_is_refused(inner: str) -> None:
    try:
        wanted = [float(part) for part in inner.split(",")]
    except ValueError:
        with pytest.raises(BadAnswer, match="no list of numbers"):
            parse_vector(f"[{inner}]".encode())
        return
    with np.errstate(over="ignore"):
        assert parse_vector(f"[{inner}]".encode()).tobytes() == np.array(wanted, np.float64).astype(np.float32).tobytes()


@pytest.mark.parametrize("odd", [b"", b"[", b"1,2", b"[1,2", b"1,2]", b"[]", b"[1,]", b"[,]", b"[1 2]", b"[[1]]", b"[.]", b"[-]"])
def test_what_is_no_vector_is_refused(odd: bytes) -> None:
    with pytest.raises(BadAnswer, match="no list of numbers"):
        parse_vector(odd)
