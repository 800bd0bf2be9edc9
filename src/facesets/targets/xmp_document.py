"""An XMP sidecar as a document: faces put in and taken out, everything else left as it is. Pure: bytes in, bytes out.

Faces are written twice, as the Metadata Working Group's regions (centre and size) and as Microsoft's (top left and size), both
normalised to the photo as it is stored, and as digiKam's tag. Attributes are written with line breaks as references, so nothing that a
sidecar says changes by being read and written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

NS: Final = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "digiKam": "http://www.digikam.org/ns/1.0/",
}
_PREFIX = {uri: prefix for prefix, uri in NS.items()}
_EMPTY = f'<x:xmpmeta xmlns:x="{NS["x"]}"><rdf:RDF xmlns:rdf="{NS["rdf"]}"/></x:xmpmeta>'


class NotXmp(ValueError):
    """What is no XMP packet, or one that is better left alone; the message says why."""


@dataclass(frozen=True, slots=True)
class Region:
    """A face: its person's name, and its box as shares of the stored photo: left, top, width, height."""

    name: str
    left: float
    top: float
    width: float
    height: float

    def mwg(self) -> dict[str, str]:
        """Centre and size."""
        values = (self.left + self.width / 2, self.top + self.height / 2, self.width, self.height)
        return {key: f"{value:.6f}" for key, value in zip("xywh", values, strict=True)}

    def microsoft(self) -> str:
        """Top left and size."""
        return ", ".join(f"{value:.6f}" for value in (self.left, self.top, self.width, self.height))

    def overlap(self, other: Region) -> float:
        """Intersection over union."""
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        if wide <= 0 or high <= 0:
            return 0.0
        return wide * high / (self.width * self.height + other.width * other.height - wide * high)


class Sidecar:
    """A sidecar's document. Raises NotXmp where ``data`` is none."""

    def __init__(self, data: bytes | None) -> None:
        if data is not None and (b"<!DOCTYPE" in data or b"<!ENTITY" in data):
            raise NotXmp("declares entities, which no sidecar needs")
        try:
            # expat of 2.4.1 and later bounds what entities may grow to, and documents that declare any are refused above
            self._document = minidom.parseString(data if data is not None else _EMPTY.encode())  # noqa: S318
        except (ExpatError, ValueError, LookupError) as err:
            raise NotXmp(f"is not XML ({err})") from err
        found = self._document.getElementsByTagNameNS(NS["rdf"], "RDF")
        if not found:
            raise NotXmp("holds no rdf:RDF")
        self._rdf = found[0]

    def bytes(self) -> bytes:
        """The document."""
        return ("".join(_written(node) for node in self._document.childNodes) + "\n").encode("utf-8")

    def is_empty(self) -> bool:
        """Whether nothing is said in it any more."""
        return all(not _elements(node) and not _says(node) for node in _elements(self._rdf))

    def dimensions(self) -> tuple[float, float] | None:
        """The size that regions which are there apply to; None where it is not said."""
        for node in self._document.getElementsByTagNameNS(NS["mwg-rs"], "AppliedToDimensions"):
            w, h = _value(node, "stDim", "w"), _value(node, "stDim", "h")
            try:
                return float(w), float(h)
            except ValueError:
                return None
        return None

    def regions(self) -> list[Region]:
        """The faces that it names by the Working Group's regions."""
        return [region for item in _items(self._list("mwg-rs", "RegionList")) if (region := _read_region(item))]

    def named(self) -> list[Region]:
        """The faces with a name, of the Working Group's regions and of Microsoft's; not what a camera focussed on, or an animal."""
        theirs = [item for item in _items(self._list("mwg-rs", "RegionList")) if (_value(item, "mwg-rs", "Type") or "Face") == "Face"]
        found = [*map(_read_region, theirs), *map(_read_rectangle, _items(self._list("MPRI", "Regions")))]
        return [region for region in found if region and region.name]

    def has(self, region: Region) -> bool:
        """Whether exactly this face is in it."""
        return any(_is_region(item, region) for item in _items(self._list("mwg-rs", "RegionList")))

    def has_tag(self, tag: str) -> bool:
        """Whether digiKam's list of tags has this one."""
        return any(_text(item) == tag for item in _items(self._list("digiKam", "TagsList")))

    def add(self, region: Region, width: int, height: int) -> None:
        """Put a face in, into the lists that are there."""
        bag = self._list("mwg-rs", "RegionList") or self._new_regions(width, height)
        item = self._child(bag, "rdf", "li")
        inner = self._child(item, "rdf", "Description")
        self._set(inner, "mwg-rs", "Name", region.name)
        self._set(inner, "mwg-rs", "Type", "Face")
        area = self._child(inner, "mwg-rs", "Area")
        for key, value in region.mwg().items():
            self._set(area, "stArea", key, value)
        self._set(area, "stArea", "unit", "normalized")
        bag = self._list("MPRI", "Regions") or self._new_list(self._resource("MP", "RegionInfo"), "MPRI", "Regions", "Bag")
        inner = self._child(self._child(bag, "rdf", "li"), "rdf", "Description")
        self._set(inner, "MPReg", "Rectangle", region.microsoft())
        self._set(inner, "MPReg", "PersonDisplayName", region.name)

    def add_tag(self, tag: str) -> None:
        """Put a tag into digiKam's list."""
        bag = self._list("digiKam", "TagsList") or self._new_list(self._description(), "digiKam", "TagsList", "Seq")
        self._child(bag, "rdf", "li").appendChild(self._document.createTextNode(tag))

    def remove(self, region: Region, tag: str | None) -> None:
        """Take a face and a tag out again, with the lists that are empty then."""
        for item in _items(self._list("mwg-rs", "RegionList")):
            if _is_region(item, region):
                _drop(item, self._rdf)
        for item in _items(self._list("MPRI", "Regions")):
            if _field(item, "MPReg", "Rectangle") == region.microsoft() and _field(item, "MPReg", "PersonDisplayName") == region.name:
                _drop(item, self._rdf)
        for item in _items(self._list("digiKam", "TagsList")):
            if tag is not None and _text(item) == tag:
                _drop(item, self._rdf)

    def _list(self, prefix: str, name: str) -> minidom.Element | None:
        for node in self._document.getElementsByTagNameNS(NS[prefix], name):
            for inner in _elements(node):
                if inner.namespaceURI == NS["rdf"] and inner.localName in ("Bag", "Seq", "Alt"):
                    return inner
        return None

    def _new_regions(self, width: int, height: int) -> minidom.Element:
        there = self._document.getElementsByTagNameNS(NS["mwg-rs"], "Regions")
        holder = (_holder(there[0]) if there else None) or self._resource("mwg-rs", "Regions")
        if not self._document.getElementsByTagNameNS(NS["mwg-rs"], "AppliedToDimensions"):
            size = self._child(holder, "mwg-rs", "AppliedToDimensions")
            for key, value in (("w", str(width)), ("h", str(height)), ("unit", "pixel")):
                self._set(size, "stDim", key, value)
        return self._new_list(holder, "mwg-rs", "RegionList", "Bag")

    def _resource(self, prefix: str, name: str) -> minidom.Element:
        node = self._child(self._description(), prefix, name)
        self._set(node, "rdf", "parseType", "Resource")
        return node

    def _new_list(self, parent: minidom.Element, prefix: str, name: str, kind: str) -> minidom.Element:
        return self._child(self._child(parent, prefix, name), "rdf", kind)

    def _description(self) -> minidom.Element:
        """The last description of the photo itself, made where there is none."""
        found = [node for node in _elements(self._rdf) if node.namespaceURI == NS["rdf"] and node.localName == "Description"]
        if found:
            return found[-1]
        node = self._child(self._rdf, "rdf", "Description")
        self._set(node, "rdf", "about", "")
        return node

    def _child(self, parent: minidom.Element, prefix: str, name: str) -> minidom.Element:
        bound, is_new = _bound(parent, prefix)
        node = self._document.createElementNS(NS[prefix], f"{bound}:{name}")
        if is_new:  # on the node itself, which takes it along when it is removed
            _bind(node, bound, NS[prefix])
        parent.appendChild(node)
        return node

    def _set(self, node: minidom.Element, prefix: str, name: str, value: str) -> None:
        bound, is_new = _bound(node, prefix)
        if is_new:
            _bind(node, bound, NS[prefix])
        node.setAttributeNS(NS[prefix], f"{bound}:{name}", value)


def _bind(node: minidom.Element, prefix: str, uri: str) -> None:
    node.setAttributeNS("http://www.w3.org/2000/xmlns/", f"xmlns:{prefix}", uri)


def _bound(node: minidom.Element, prefix: str) -> tuple[str, bool]:
    """The prefix that stands for the namespace of ``prefix`` at ``node``, or one that is free, and whether it is still to be bound."""
    at: Any = node
    hidden: set[str] = set()
    while at is not None and at.nodeType == Node.ELEMENT_NODE:
        for key, value in at.attributes.items():
            if key.startswith("xmlns:"):
                if value == NS[prefix] and key[6:] not in hidden:
                    return str(key[6:]), False
                hidden.add(key[6:])
        at = at.parentNode
    free = prefix
    while free in hidden:
        free += "_"
    return free, True


def _elements(node: minidom.Node | None) -> list[minidom.Element]:
    return [child for child in node.childNodes if child.nodeType == Node.ELEMENT_NODE] if node is not None else []


def _items(bag: minidom.Element | None) -> list[minidom.Element]:
    return [node for node in _elements(bag) if node.namespaceURI == NS["rdf"] and node.localName == "li"]


def _says(node: minidom.Element) -> bool:
    """Whether an empty description has properties as attributes."""
    return any(not key.startswith("xmlns") and attribute.namespaceURI != NS["rdf"] for key, attribute in _attributes(node))


def _attributes(node: minidom.Element) -> Iterator[tuple[str, minidom.Attr]]:
    return ((attribute.name, attribute) for attribute in node.attributes.values())


def _holder(node: minidom.Element) -> minidom.Element:
    """Where a structure's fields stand: in the property itself, or in a description within it."""
    inner = [child for child in _elements(node) if child.namespaceURI == NS["rdf"] and child.localName == "Description"]
    return inner[0] if inner else node


def _value(node: minidom.Element, prefix: str, name: str) -> str:
    """A structure's field, be it an attribute or an element."""
    holder = _holder(node)
    for at in (node, holder):
        if at.hasAttributeNS(NS[prefix], name):
            return str(at.getAttributeNS(NS[prefix], name))
    return next((_text(child) for child in _elements(holder) if child.namespaceURI == NS[prefix] and child.localName == name), "")


_field = _value


def _text(node: minidom.Element) -> str:
    return "".join(child.data for child in node.childNodes if child.nodeType in (Node.TEXT_NODE, Node.CDATA_SECTION_NODE))


def _area(item: minidom.Element) -> minidom.Element | None:
    return next((child for child in _elements(_holder(item)) if child.namespaceURI == NS["mwg-rs"] and child.localName == "Area"), None)


def _read_region(item: minidom.Element) -> Region | None:
    area = _area(item)
    if area is None:
        return None
    try:
        x, y, w, h = (float(_value(area, "stArea", key)) for key in "xywh")
    except ValueError:
        return None
    return Region(_field(item, "mwg-rs", "Name"), x - w / 2, y - h / 2, w, h)


def _read_rectangle(item: minidom.Element) -> Region | None:
    try:
        left, top, width, height = map(float, _value(item, "MPReg", "Rectangle").split(","))
    except ValueError:
        return None
    return Region(_field(item, "MPReg", "PersonDisplayName"), left, top, width, height)


def _is_region(item: minidom.Element, region: Region) -> bool:
    area = _area(item)
    return (
        area is not None
        and _field(item, "mwg-rs", "Name") == region.name
        and all(_value(area, "stArea", key) == value for key, value in region.mwg().items())
    )


def _drop(node: Any, root: minidom.Element) -> None:
    """Take a node out, and what held nothing else: lists, structures, and the size that regions applied to."""
    parent = node.parentNode
    parent.removeChild(node)
    left = [child for child in _elements(parent) if child.localName != "AppliedToDimensions"]
    if not left and parent is not root and parent.parentNode is not root and not _text(parent).strip():
        _drop(parent, root)


_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _written(node: Any) -> str:
    match node.nodeType:
        case Node.ELEMENT_NODE:
            attributes = "".join(f' {key}="{value.translate(_IN_ATTRIBUTE)}"' for key, value in node.attributes.items())
            inside = "".join(map(_written, node.childNodes))
            return f"<{node.tagName}{attributes}>{inside}</{node.tagName}>" if inside else f"<{node.tagName}{attributes}/>"
        case Node.TEXT_NODE:
            return str(node.data.translate(_IN_TEXT))
        case Node.CDATA_SECTION_NODE:
            return f"<![CDATA[{node.data}]]>"
        case Node.COMMENT_NODE:
            return f"<!--{node.data}-->"
        case Node.PROCESSING_INSTRUCTION_NODE:
            return f"<?{node.target} {node.data}?>\n"
    return ""
