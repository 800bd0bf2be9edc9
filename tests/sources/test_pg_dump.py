"""Reading a plain pg_dump as a stream: what is wanted of it, in flat memory, whatever comes."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesets.errors import BadAnswer
from facesets.sources import pg_dump
from tests.dumps import END, copy

LITTLE = 12 << 20  # bytes: a few pieces and a row


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read(pieces: Iterable[bytes], *names: str) -> dict[str, list[list[bytes | None]]]:
    found = {}
    for table in pg_dump.tables(pg_dump.unpacked(pieces), lambda _, name: not names or name in names):
        places = range(len(table.columns))
        found[table.table] = [table.row(line, places) for batch in table.batches for line in batch]
    return found


def peak(pieces: Iterable[bytes], *names: str) -> tuple[int, str]:
    """The most memory that reading took, and what it was refused with."""
    tracemalloc.start()
    try:
        said = ""
        try:
            for table in pg_dump.tables(pg_dump.unpacked(pieces), lambda _, name: name in names):
                for batch in table.batches:
                    for line in batch:
                        table.row(line, [0])
        except BadAnswer as err:
            said = str(err)
        return tracemalloc.get_traced_memory()[1], said
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("packed", [False, True])
def test_tables_that_are_wanted_come_row_by_row_however_the_bytes_arrive(size: int, packed: bool) -> None:
    data = b"SET x;\n" + copy("a", ["id"], [["1"], ["2"]]) + copy("b", ["x"], [["no"]]) + copy("user", ["id", "n"], [["3", None]]) + END
    data = gzip.compress(data) if packed else data
    assert read(cut(data, size), "a", "user") == {"a": [[b"1"], [b"2"]], "user": [[b"3", None]]}


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (r"\N", None),
        (r"\\N", rb"\N"),
        (r"a\\b", rb"a\b"),
        (r"a\tb\nc\rd\be\ff\vg", b"a\tb\nc\rd\be\ff\vg"),
        (r"\101\60\7z", b"A0\x07z"),
        (r"\x41\x4a\xfz", b"AJ\x0fz"),
        (r"\xz\q\8", b"xzq8"),
        (r"\\x00ff", rb"\x00ff"),
        (r"\.", b"."),
        ("", b""),
        (r"x\N", b"xN"),
    ],
)
def test_escapes_are_those_of_copys_text_form(escaped: str, plain: bytes | None) -> None:
    assert read([copy("a", ["x", "y"], [[escaped, "z"]]) + END]) == {"a": [[plain, b"z"]]}


@given(
    st.lists(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2, max_size=2))
)
@settings(max_examples=100, deadline=None)
def test_whatever_text_a_table_holds_comes_out_as_it_went_in(table: list[list[str | None]]) -> None:
    special = {
        ord("\\"): "\\\\",
        ord("\b"): r"\b",
        ord("\f"): r"\f",
        ord("\n"): r"\n",
        ord("\r"): r"\r",
        ord("\t"): r"\t",
        ord("\v"): r"\v",
    }
    escaped = [[None if field is None else field.translate(special) for field in row] for row in table]
    found = read(cut(copy("a", ["x", "y"], escaped) + END, 11))
    assert found == {"a": [[None if field is None else field.encode() for field in row] for row in table]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a\tb\tc", "a row of 3 fields"),
        ("a", "a row of 1 fields"),
        ("a\t\0b", "NUL"),
        (r"a\000" + "\tb", "NUL"),
        (r"a" + "\t" + r"b\x0", "NUL"),
        ("a\tb\\", "within an escape"),
    ],
)
def test_a_row_that_no_postgres_wrote_is_refused(row: str, words: str) -> None:
    data = copy("a", ["x", "y"], [["1", "2"]])[: -len("\\.\n\n")] + row.encode() + b"\n\\.\n" + END
    with pytest.raises(BadAnswer, match=words):
        read([data])


def test_a_table_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadAnswer, match="table a twice"):
        read([copy("a", ["x"], []) * 2 + END])


@pytest.mark.parametrize("packed", [False, True])
def test_a_dump_that_is_cut_off_anywhere_says_so(packed: bool) -> None:
    whole = copy("a", ["x", "y"], [["1", "2"]] * 3) + copy("b", ["x"], [["1"]]) + END
    data = gzip.compress(whole) if packed else whole
    for end in range(len(data) if packed else whole.index(b" complete")):
        with pytest.raises(BadAnswer, match=r"cut off|fields|damaged"):
            read([data[:end]], "a")
    assert read([data], "a")["a"] == [[b"1", b"2"]] * 3


def test_a_dump_of_a_whole_cluster_has_a_last_line_of_its_own() -> None:
    head, one = b"--\n-- PostgreSQL database cluster dump\n--\n", copy("a", ["x"], [["1"]]) + END
    with pytest.raises(BadAnswer, match="cut off"):
        read([head + one])
    assert read([head + one + b"--\n-- PostgreSQL database cluster dump complete\n--\n"]) == {"a": [[b"1"]]}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"PGDMP\x01\x0e\x00", "custom form"),
        (b"toc.dat\0", "tar form"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"\x04\x22\x4d\x18....", "lz4"),
        (b"PK\x03\x04....", "zip"),
        (b"\xff\xfe-\0", "UTF-16"),
    ],
)
def test_another_form_of_dump_is_named(head: bytes, words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        read([head + b"x" * 100])


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"\x1f\x8b" + b"\xff" * 100, b"<html>", b"\xff\xfe" * 999])
def test_what_is_no_dump_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(cut(data, 100))


def test_damaged_bytes_are_noticed() -> None:
    data = bytearray(gzip.compress(copy("a", ["x"], [[f"{n}" * 9] for n in range(9999)]) + END))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BadAnswer, match=r"damaged|fields|cut off"):
        read([bytes(data)])


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_terminals_or_windows_line_ends_are_line_ends(size: int) -> None:
    data = copy("a", ["x", "y"], [["1", r"of a \r\n field"], [None, ""]]) + copy("b", ["z"], [["3"]]) + END
    assert read(cut(data.replace(b"\n", b"\r\n"), size)) == {"a": [[b"1", b"of a \r\n field"], [None, b""]], "b": [[b"3"]]}


def test_names_are_read_however_they_are_quoted_and_their_rows_are_no_statements() -> None:
    odd = copy("b", ["x"], [["COPY public.a (x) FROM stdin;"], ["-- PostgreSQL database dump complete"]])
    data = b"".join(odd.replace(b'public."b"', name) for name in (b'"my schema"."odd-name"', b'c."a ""b"""', b'"a)".b'))
    data += b'COPY "my-schema".a ("x (cm)", "y, ""z""", id) FROM stdin;\n1\t2\t3\n\\.\n\nCOPY c.none  FROM stdin;\n\\.\n\n' + END
    (table,) = pg_dump.tables([data], lambda _, name: name == "a")
    assert (table.place, table.columns) == ("my-schema", ("x (cm)", 'y, "z"', "id"))


def test_a_dump_of_insert_statements_says_so() -> None:
    rows = b"INSERT INTO public.a VALUES (1, 'two lines\nCOPY public.a (x) FROM stdin;\n1\n\\.\n');\n"
    with pytest.raises(BadAnswer, match="table a are INSERT statements"):
        read([rows + END], "a")
    assert read([rows[:27] + b");\n" + copy("b", ["x"], [["1"]]) + END], "b") == {"b": [[b"1"]]}


def test_several_packed_parts_in_a_row_and_padding_are_one_dump() -> None:
    whole = copy("a", ["x"], [["1"], ["2"]]) + END
    assert read(cut(gzip.compress(whole[:40]) + gzip.compress(whole[40:]) + b"\0" * 512, 13)) == {"a": [[b"1"], [b"2"]]}


def long_row(before: bytes, size: int, after: bytes) -> Iterator[bytes]:
    yield before
    for _ in range(size >> 16):
        yield b"x" * (1 << 16)
    yield after


def test_a_field_of_100_mb_is_refused_in_a_table_that_is_wanted_and_passed_over_elsewhere() -> None:
    before, after = b"COPY big (x) FROM stdin;\n", b"\n\\.\n" + copy("a", ["x"], [["1"]]) + END
    used, said = peak(long_row(before, 100 << 20, after), "big")
    assert (used < LITTLE, "a row of more than 1 MB" in said) == (True, True), (used, said)
    used, said = peak(long_row(before, 100 << 20, after), "a")
    assert (used < LITTLE, said) == (True, ""), (used, said)
    used, said = peak(long_row(b"SELECT '", 100 << 20, b"';\n" + copy("a", ["x"], [["1"]]) + END), "a")
    assert (used < LITTLE, said) == (True, ""), (used, said)
    assert read(long_row(before, 3 << 20, after), "a") == {"a": [[b"1"]]}


def test_a_row_that_begins_where_the_long_one_of_before_ended_is_not_lost() -> None:
    rows = [["y" * (pg_dump.MOST - 5)], ["z"], ["y" * (pg_dump.MOST - 9)]]
    data = b"-- " + b"-" * (pg_dump.MOST - 20) + b"\n" + copy("a", ["x"], rows) + END
    assert [len(row[0] or b"") for row in read(cut(data, 1 << 19))["a"]] == [pg_dump.MOST - 5, 1, pg_dump.MOST - 9]


@pytest.mark.slow
def test_a_gzip_bomb_is_given_up_in_flat_memory() -> None:
    def bomb() -> Iterator[bytes]:
        pack = zlib.compressobj(9, wbits=31)
        yield pack.compress(b"COPY a (x) FROM stdin;\n")
        for _ in range(2000):  # 2 GB of rows out of 2 MB
            if piece := pack.compress((b"0" * 1023 + b"\n") * 1024):
                yield piece
        yield pack.flush()

    used, said = peak(bomb(), "b")
    assert (used < LITTLE, "unpacks to more than 100 times its size" in said) == (True, True), (used, said)
