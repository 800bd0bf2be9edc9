"""Names of faces in XMP: as each program writes them, turned as the photo is shown, and nothing of what is hostile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from PIL import Image

from facesets.photos import DecoderPool, NamedRegion, Regions, regions_in, upright_regions


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool() as started:
        yield started


HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
HEAD += '"http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
HEAD += 'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
HEAD += 'xmlns:MP="http://ns.microsoft.com/photo/1.2/" xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" '
HEAD += 'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"><rdf:Description rdf:about="">'
TAIL = '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>' + " " * 2000 + "\0"


def packet(inside: str) -> bytes:
    return (HEAD + inside + TAIL).encode()


LIGHTROOM = packet(  # structures as resources, values as attributes of the item's description
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="4000" stDim:h="3000" stDim:unit="pixel"/>'
    '<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Rotation="0.1" mwg-rs:Name="Anna" mwg-rs:Type="Face">'
    '<mwg-rs:Area stArea:h="0.2" stArea:w="0.1" stArea:x="0.3" stArea:y="0.4"/></rdf:Description></rdf:li>'
    '<rdf:li><rdf:Description mwg-rs:Type="Focus"><mwg-rs:Area stArea:h="0.2" stArea:w="0.1" stArea:x="0.3" stArea:y="0.4"/>'
    "</rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
)
PICASA = packet(  # everything as elements
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions rdf:parseType="Resource"><stDim:w>4000</stDim:w>'
    "<stDim:h>3000</stDim:h><stDim:unit>pixel</stDim:unit></mwg-rs:AppliedToDimensions><mwg-rs:RegionList><rdf:Bag>"
    '<rdf:li rdf:parseType="Resource"><mwg-rs:Type>Face</mwg-rs:Type><mwg-rs:Name>Anna</mwg-rs:Name>'
    '<mwg-rs:Area rdf:parseType="Resource"><stArea:x>0.3</stArea:x><stArea:y>0.4</stArea:y><stArea:w>0.1</stArea:w>'
    "<stArea:h>0.2</stArea:h><stArea:unit>normalized</stArea:unit></mwg-rs:Area></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
)
DIGIKAM = packet(  # the Working Group's and Microsoft's, side by side
    '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag><rdf:li MPReg:Rectangle="0.25, 0.3, 0.1, 0.2" '
    'MPReg:PersonDisplayName="Anna"/></rdf:Bag></MPRI:Regions></MP:RegionInfo>'
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="4000" stDim:h="3000" stDim:unit="pixel"/>'
    '<mwg-rs:RegionList><rdf:Bag><rdf:li mwg-rs:Name="Anna" mwg-rs:Type="Face"><mwg-rs:Area stArea:x="0.3" stArea:y="0.4" '
    'stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>'
)
ANNA = NamedRegion("Anna", 0.25, 0.3, 0.35, 0.5)


@pytest.mark.parametrize("written", [LIGHTROOM, PICASA, DIGIKAM], ids=["lightroom", "picasa", "digikam"])
def test_each_program_is_understood(written: bytes) -> None:
    assert regions_in(written) == Regions((ANNA,), (4000.0, 3000.0))
    assert regions_in(written.decode().encode("utf-16")) == regions_in(written)


def face(name: str, area: str = 'stArea:x=".5" stArea:y=".5" stArea:w=".2" stArea:h=".2"', size: str = "") -> bytes:
    dimensions = f"<mwg-rs:AppliedToDimensions {size}/>" if size else ""
    return packet(
        f"<mwg-rs:Regions>{dimensions}<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description>{name}<mwg-rs:Area {area}/>"
        "</rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def test_a_name_is_one_line_in_normal_form() -> None:
    (found,) = regions_in(face("<mwg-rs:Name>  Zoe\u0308\n  &amp; 👵🏽 </mwg-rs:Name>")).faces
    assert found.name == "Zoë & 👵🏽"


@pytest.mark.parametrize(
    "area",
    [
        'stArea:x="nan" stArea:y=".5" stArea:w=".2" stArea:h=".2"', 'stArea:x="inf" stArea:y=".5" stArea:w=".2" stArea:h=".2"',
        'stArea:x=".5" stArea:y=".5" stArea:w="0" stArea:h=".2"', 'stArea:x=".5" stArea:y=".5" stArea:w="-1" stArea:h=".2"',
        'stArea:x="7" stArea:y=".5" stArea:w=".2" stArea:h=".2"', 'stArea:x="1e99" stArea:y=".5" stArea:w=".2" stArea:h=".2"',
        'stArea:x="" stArea:y=".5" stArea:w=".2" stArea:h=".2"', 'stArea:x=".5"',
        'stArea:x="900" stArea:y=".5" stArea:w=".2" stArea:h=".2" stArea:unit="pixel"',
    ],
)  # fmt: skip
def test_a_place_that_is_none_names_nobody(area: str) -> None:
    assert regions_in(face("<mwg-rs:Name>Anna</mwg-rs:Name>", area)).faces == ()


def test_decimal_commas_and_pixels_are_read() -> None:
    (found,) = regions_in(face("<mwg-rs:Name>A</mwg-rs:Name>", 'stArea:x="0,5" stArea:y="0,5" stArea:w="0,2" stArea:h="0,2"')).faces
    assert (found.left, found.bottom) == (0.4, 0.6)
    pixels = 'stArea:x="500" stArea:y="250" stArea:w="200" stArea:h="100" stArea:unit="pixel"'
    assert regions_in(face("<mwg-rs:Name>A</mwg-rs:Name>", pixels, 'stDim:w="1000" stDim:h="500"')).faces == (found,)


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
HOSTILE = {
    "entity bomb": f"<!DOCTYPE x [{LAUGHS}]>".encode() + face("<mwg-rs:Name>&a11;</mwg-rs:Name>"),
    "quadratic": b'<!DOCTYPE x [<!ENTITY a "' + b"h" * 100_000 + b'">]>' + face("<mwg-rs:Name>" + "&a;" * 1000 + "</mwg-rs:Name>"),
    "file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + face("<mwg-rs:Name>&a;</mwg-rs:Name>"),
    "deep": b"<a>" * 100_000,
    "many elements": b"<a>" + b"<b/>" * 300_000 + b"</a>",
    "many faces": face("<mwg-rs:Name>Anna</mwg-rs:Name>").replace(b"</rdf:Bag>", LIGHTROOM[LIGHTROOM.index(b"<rdf:li>"):
                  LIGHTROOM.index(b"</rdf:li>") + 9] * 600 + b"</rdf:Bag>"),
    "long name": face(f"<mwg-rs:Name>{'x' * 2_000_000}</mwg-rs:Name>"),
    "long attribute": face("").replace(b"<rdf:Description>", b'<rdf:Description mwg-rs:Name="' + b"x" * 5000 + b'">'),
    "too long": LIGHTROOM + b" " * (9 << 20) + b"x",
    "cut off": LIGHTROOM[:-2100],
    "no xml": b"\xff\xd8\xff\xe0" * 1000,
    "strange encoding": b'<?xml version="1.0" encoding="x-none"?>' + LIGHTROOM,
    "zeros": bytes(1000),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_of_what_is_hostile_or_broken_nothing_is_known(data: bytes) -> None:
    assert regions_in(data).faces == ()


TURNS = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
def test_a_face_is_found_where_it_is_shown_however_the_photo_is_turned(turn: int) -> None:
    """Drawn on the stored photo, as the standard has it: held against pixels."""
    stored = Image.new("L", (80, 40))
    stored.paste(255, (8, 4, 24, 16))
    how = TURNS[turn]
    shown = stored if how is None else stored.transpose(how)
    rows, columns = np.nonzero(np.asarray(shown))
    want = (columns.min() / shown.width, rows.min() / shown.height, (columns.max() + 1) / shown.width, (rows.max() + 1) / shown.height)
    packets = [Regions((NamedRegion("Anna", 0.1, 0.1, 0.3, 0.4),), (8000.0, 4000.0))]
    found = upright_regions(packets, turn, shown.width, shown.height)
    ((first, *_), *more) = found
    assert (first.left, first.top, first.right, first.bottom) == pytest.approx(want)
    assert len(more) == (turn in (2, 3, 4)), "where the size does not tell, as it is shown may be meant"


def test_a_size_as_shown_says_that_faces_were_drawn_on_what_is_shown() -> None:
    drawn = NamedRegion("Anna", 0.1, 0.2, 0.3, 0.4)
    assert upright_regions([Regions((drawn,), (3000.0, 4000.0))], 6, 30, 40) == [[drawn]]


def test_a_photo_that_was_cropped_since_names_nobody() -> None:
    assert upright_regions([Regions((ANNA,), (4000.0, 3000.0))], 1, 1000, 1000) == []


def test_one_place_has_one_name_that_of_the_sidecar(tmp_path: Path, decoders: DecoderPool) -> None:
    photo = tmp_path / "IMG.jpg"
    out = io.BytesIO()
    Image.new("RGB", (400, 300)).save(out, "JPEG", xmp=LIGHTROOM)
    photo.write_bytes(out.getvalue())
    assert upright_regions(decoders.regions(photo), 1, 400, 300) == [[ANNA]]
    (tmp_path / "IMG.xmp").write_bytes(PICASA.replace(b"Anna", b"Berta"))
    (tmp_path / "IMG.jpg.xmp").write_bytes(PICASA.replace(b"Anna", b"Cleo"))
    ((found,),) = upright_regions(decoders.regions(photo), 1, 400, 300)
    assert found.name == "Cleo"


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_names_are_read_in_every_format_that_holds_xmp(tmp_path: Path, decoders: DecoderPool, suffix: str) -> None:
    photo = tmp_path / f"a.{suffix}"
    if suffix == "png":
        from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", LIGHTROOM.decode())
        Image.new("RGB", (40, 30)).save(photo, pnginfo=texts)
    elif suffix == "tiff":
        Image.new("RGB", (40, 30)).save(photo, tiffinfo={700: LIGHTROOM})
    else:
        Image.new("RGB", (40, 30)).save(photo, xmp=LIGHTROOM)
    assert [each.faces for each in decoders.regions(photo)] == [(ANNA,)]


def extended(parts: dict[int, bytes], named: bytes = b"0123456789ABCDEF" * 2) -> bytes:
    """A JPEG whose packet names an extension, and the extension's parts by where they start."""
    note = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    note += b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="' + named + b'"/></rdf:RDF></x:xmpmeta>'
    contents = [b"http://ns.adobe.com/xap/1.0/\0" + note]
    for start, part in parts.items():
        head = b"http://ns.adobe.com/xmp/extension/\0" + b"0123456789ABCDEF" * 2
        contents.append(head + pack(">II", len(LIGHTROOM), start) + part)
    plain = io.BytesIO()
    Image.new("RGB", (40, 30)).save(plain, "jpeg")
    segments = b"".join(b"\xff\xe1" + pack(">H", len(content) + 2) + content for content in contents)
    return plain.getvalue()[:2] + segments + plain.getvalue()[2:]


@pytest.mark.parametrize(
    ("photo", "known"),
    [
        (extended({0: LIGHTROOM}), True),
        (extended({700: LIGHTROOM[700:], 0: LIGHTROOM[:700]}), True),  # in any order
        (extended({0: LIGHTROOM[:700]}), False),  # the rest is missing
        (extended({700: LIGHTROOM[700:]}), False),
        (extended({0: LIGHTROOM[:700], 600: LIGHTROOM[700:]}), False),
        (extended({0: LIGHTROOM}, named=b"F" * 32), False),  # of another packet
        (extended({0: b"", 5: b"\xff" * 60_000}), False),
    ],
)
def test_what_a_jpeg_holds_beyond_its_packet_is_read(photo: bytes, known: bool, tmp_path: Path, decoders: DecoderPool) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    assert [each.faces for each in decoders.regions(tmp_path / "a.jpg")] == ([(ANNA,)] if known else [])


def test_only_files_of_a_sidecars_size_are_sidecars(tmp_path: Path, decoders: DecoderPool) -> None:
    photo = tmp_path / "IMG.jpg"
    Image.new("RGB", (40, 30)).save(photo)
    (tmp_path / "IMG.jpg.xmp").mkdir()
    (tmp_path / "elsewhere").write_bytes(LIGHTROOM)
    (tmp_path / "IMG.xmp").symlink_to(tmp_path / "elsewhere")
    assert decoders.regions(photo) == []
    (tmp_path / "IMG.xmp").unlink()
    (tmp_path / "IMG.xmp").write_bytes(b" " * (9 << 20))
    assert decoders.regions(photo) == []
