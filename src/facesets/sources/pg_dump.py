"""Sources room: the rows of a few tables out of a plain ``pg_dump``, packed by gzip or not, as it streams by. Pure: bytes in, rows out.

Only blocks of ``COPY table (columns) FROM stdin;`` are read; all other statements and other tables' rows are passed over and kept
nowhere. Memory is flat whatever comes: a row longer than ``MOST`` is refused, and so is what unpacks to far more than a dump would.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from facesets.errors import BadAnswer

MOST = 1 << 20  # bytes of a row, or of a statement that is looked at; Immich's longest rows, vectors, are of 7 kB
_PIECE = 1 << 20  # bytes that are unpacked at a time
_BOMB_FROM, _BOMB = 256 << 20, 100  # beyond so many bytes: how many times its size a dump may unpack to (one of vectors: 2.3 times)
_NAME = rb'(?:"(?:[^"]|"")+"|\w+)'
_NAMES = re.compile(_NAME)
_COPY = re.compile(rb"COPY (?:(%b)\.)?(%b) (?:\((.*)\))? ?FROM stdin;" % (_NAME, _NAME))
_INSERT = re.compile(rb"INSERT INTO (?:(%b)\.)?(%b) " % (_NAME, _NAME))
_CONNECT = re.compile(rb"\\connect (?:-reuse-previous=on )?(.+)")  # in a dump of a whole cluster: the database that follows
_END = rb"\."
_DONE = (b"-- PostgreSQL database dump complete", b"-- PostgreSQL database cluster dump complete")
_CLUSTER = b"-- PostgreSQL database cluster dump"  # pg_dumpall: several databases, and a last line of its own
_OTHERS = {
    b"PGDMP": "pg_dump's custom form",
    b"toc.dat\0": "pg_dump's tar form",
    b"\x04\x22\x4d\x18": "packed by lz4",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"PK\x03\x04": "a zip file",
    b"\xff\xfe": "in UTF-16, as PowerShell's > writes (pg_dump --file=... does not)",
}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

Field = bytes | None


@dataclass(frozen=True, slots=True)
class Copy:
    """A table's rows: ``batches`` of whole lines, split by :meth:`row`. Read them before the next table is asked for.

    ``place``: the database and the schema that it is in, as far as the dump says.
    """

    place: str
    table: str
    columns: tuple[str, ...]
    batches: Iterator[list[bytes]]

    def places(self, *names: str) -> list[int]:
        """Where these columns are. Raises BadAnswer naming those that are not there."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise BadAnswer(f"table {self.table} has no column {', '.join(missing)}")
        return [self.columns.index(name) for name in names]

    def row(self, line: bytes, places: Sequence[int]) -> list[Field]:
        """Fields of a line, unescaped; None for NULL. Raises BadAnswer where the line has not as many as the table has columns."""
        fields = line.split(b"\t")
        if len(fields) != len(self.columns):
            raise BadAnswer(f"table {self.table}: a row of {len(fields)} fields, where the table has {len(self.columns)} columns")
        if b"\0" in line:
            raise BadAnswer(f"table {self.table}: a row holds a NUL byte, which no text of Postgres does")
        return [self._plain(fields[place]) for place in places]

    def _plain(self, field: bytes) -> Field:
        if b"\\" not in field:
            return field
        if field == rb"\N":
            return None
        if b"\\" in _ESCAPE.sub(b"", field):
            raise BadAnswer(f"table {self.table}: a field ends within an escape")
        plain = _ESCAPE.sub(_unescape, field)
        if b"\0" in plain:
            raise BadAnswer(f"table {self.table}: a row holds a NUL byte, which no text of Postgres does")
        return plain


def _unescape(found: re.Match[bytes]) -> bytes:
    what = found[1]
    if what[:1] == b"x" and len(what) > 1:
        return bytes((int(what[1:], 16),))
    if what.isdigit() and what[:1] < b"8":
        return bytes((int(what, 8) & 0xFF,))
    return _CONTROLS.get(what, what)


def unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The dump's own bytes, a megabyte at a time at most. Raises BadAnswer: damaged, cut off, a bomb, of a form not read here."""
    source = iter(pieces)
    head = b""
    for piece in source:
        head += piece
        if len(head) >= 8:
            break
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise BadAnswer(f"it is {what}; what is read is plain SQL, as Immich's own backups are (.sql or .sql.gz)")
    if head.startswith(b"\x1f\x8b"):
        yield from _gunzipped(_chained(head, source))
        return
    for piece in _chained(head, source):
        yield from (piece[start : start + _PIECE] for start in range(0, len(piece), _PIECE))


def _chained(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from source


def _gunzipped(source: Iterator[bytes]) -> Iterator[bytes]:
    inflate, taken, given = zlib.decompressobj(31), 0, 0
    for piece in source:
        taken += len(piece)
        rest = piece
        while rest:
            if inflate.eof:  # a further member, or the zeros that some tools fill up with
                if not rest.strip(b"\0"):
                    break
                inflate = zlib.decompressobj(31)
            try:
                plain = inflate.decompress(rest, _PIECE)
            except zlib.error as err:
                raise BadAnswer(f"it is damaged: {err}") from err
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            given += len(plain)
            if given > _BOMB_FROM and given > _BOMB * taken:
                raise BadAnswer(f"it unpacks to more than {_BOMB} times its size, which no dump does: it was given up there")
            if plain:
                yield plain
    if not inflate.eof:
        raise BadAnswer("it is cut off: the end of the packed file is missing")


def tables(pieces: Iterable[bytes], wanted: Callable[[str, str], bool]) -> Iterator[Copy]:
    """The tables that are ``wanted``, by place and name, in the dump's order. ``pieces``: its bytes, unpacked.

    Raises BadAnswer where it ends before its end, a row is too long, a table comes twice, or its rows are INSERT statements.
    """
    lines = _Lines(pieces)
    seen, done, cluster, database = set[tuple[str, str]](), None, False, ""
    while (line := lines.statement()) is not None:
        if line.startswith(b"--"):
            cluster = cluster or line == _CLUSTER
            done = line if line in _DONE else done
        elif line.startswith(b"\\connect "):
            found = _CONNECT.fullmatch(line)
            database = found[1].decode("utf-8", "replace") if found else database
        elif line.startswith(b"INSERT INTO ") and (found := _INSERT.match(line)) and wanted(*_names(database, found)):
            raise BadAnswer(f"the rows of its table {_names(database, found)[1]} are INSERT statements: make it without --inserts")
        elif line.startswith(b"COPY ") and line.endswith(b" FROM stdin;"):
            found = _COPY.fullmatch(line)
            place, name = _names(database, found) if found else ("", line[:60].decode("utf-8", "replace"))
            if found is None or not wanted(place, name):
                lines.skip_rows(name)
                continue
            if (place, name) in seen:
                raise BadAnswer(f"it holds the table {name} twice")
            seen.add((place, name))
            batches = lines.rows(name)
            yield Copy(place, name, tuple(_plain_name(column) for column in _NAMES.findall(found[3] or b"")), batches)
            for _ in batches:
                pass  # of a table that was not read to its end
    if done != _DONE[cluster]:
        raise BadAnswer("it is cut off: the last line of a dump, that it is complete, is missing")


def _names(database: str, found: re.Match[bytes]) -> tuple[str, str]:
    """Place and name of the table that a statement is about."""
    schema = _plain_name(found[1] or b"public")
    return (f"{database}.{schema}" if database else schema), _plain_name(found[2])


def _plain_name(quoted: bytes) -> str:
    return (quoted[1:-1].replace(b'""', b'"') if quoted.startswith(b'"') else quoted).decode("utf-8", "replace")


class _Lines:
    """Whole lines out of pieces, with little more than a piece and a line of ``MOST`` bytes in memory."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._lines: list[bytes] = []  # whole ones
        self._at = 0  # the next of them
        self._rest = b""  # the start of the line after those
        self._ended = False

    def _more(self, table: str | None) -> bool:
        """Have further whole lines. A line that is too long is refused in a ``table``, and passed over elsewhere."""
        while self._at == len(self._lines) and not self._ended:
            long = len(self._rest) > MOST
            if long and table is not None:
                raise _too_long(table)
            piece = next(self._pieces, None)
            if piece is None:
                self._lines, self._at, self._rest, self._ended = [self._rest] if self._rest else [], 0, b"", True
                break
            if long:
                _, found, piece = piece.partition(b"\n")
                self._rest = b"" if found else self._rest
                if not found:
                    continue
            data = self._rest + piece
            if b"\r\n" in data:  # a terminal's, of docker exec -t, or Windows's; within a row pg_dump writes \r as two characters
                data = data.replace(b"\r\n", b"\n")
            *self._lines, self._rest = data.split(b"\n")
            self._at = 0
        return self._at < len(self._lines)

    def statement(self) -> bytes | None:
        """The next line outside of tables; None at the end."""
        if not self._more(None):
            return None
        self._at += 1
        return self._lines[self._at - 1]

    def rows(self, table: str) -> Iterator[list[bytes]]:
        """The lines of a table's rows up to its end mark, as many at a time as a piece has."""
        while self._more(table):
            lines, end = self._lines, self._end()
            if end is None and self._ended:
                break
            if len(lines[self._at]) > MOST:  # no other can be: the rest of them came in one piece
                raise _too_long(table)
            batch, self._at = lines[self._at : end], len(lines) if end is None else end + 1
            yield batch
            if end is not None:
                return
        raise BadAnswer(f"it is cut off in the midst of table {table}")

    def skip_rows(self, table: str) -> None:
        """Pass over a table's rows, however long they are."""
        while self._more(None):
            end = self._end()
            self._at = len(self._lines) if end is None else end + 1
            if end is not None:
                return
        raise BadAnswer(f"it is cut off in the midst of table {table}")

    def _end(self) -> int | None:
        try:
            return self._lines.index(_END, self._at)
        except ValueError:
            return None


def _too_long(table: str) -> BadAnswer:
    return BadAnswer(f"table {table}: a row of more than {MOST >> 20} MB, which none of Immich's is")
