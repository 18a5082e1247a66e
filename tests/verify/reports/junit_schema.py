"""Checks a document against `junit.xsd`: that part of XML Schema which it uses, so that no package is needed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

XS = "{http://www.w3.org/2001/XMLSchema}"
TYPES = {"xs:string": re.compile(r"(?s).*"), "xs:nonNegativeInteger": re.compile(r"\d+")}


def problems(root: ET.Element) -> list[str]:
    """What is wrong with a document; empty where it is valid."""
    schema = ET.parse(Path(__file__).with_name("junit.xsd")).getroot()
    elements = {element.attrib["name"]: element for element in schema.findall(f"{XS}element")}
    if root.tag != next(iter(elements)):
        return [f"no {root.tag} at the top"]
    return list(_problems(root, elements))


def _problems(found: ET.Element, elements: dict[str, ET.Element]) -> Iterator[str]:
    (kind,) = elements[found.tag]
    yield from _attributes(found, kind)
    if kind.get("mixed") != "true" and any((text or "").strip() for text in (found.text, *(c.tail for c in found))):
        yield f"{found.tag} has text"
    places = {one.attrib["ref"]: one for one in kind.findall(f"{XS}sequence/{XS}element")}
    order = [child.tag for child in found]
    yield from (f"{tag} has no place in {found.tag}" for tag in order if tag not in places)
    known = [tag for tag in order if tag in places]
    if known != sorted(known, key=list(places).index):
        yield f"{found.tag}: {', '.join(known)} stand in another order"
    for tag, place in places.items():
        most = place.attrib["maxOccurs"]
        count = order.count(tag)
        if count < int(place.attrib["minOccurs"]) or (most != "unbounded" and count > int(most)):
            yield f"{found.tag} has {count} {tag}"
    for child in found:
        if child.tag in places:
            yield from _problems(child, elements)


def _attributes(found: ET.Element, kind: ET.Element) -> Iterator[str]:
    known = {one.attrib["name"]: one for one in kind.findall(f"{XS}attribute")}
    yield from (f"{found.tag} has no attribute {name}" for name in found.attrib if name not in known)
    for name, one in known.items():
        value = found.get(name)
        if value is None and one.get("use") == "required":
            yield f"{found.tag} lacks {name}"
        if value is not None and not TYPES[one.attrib["type"]].fullmatch(value):
            yield f"{found.tag}: {name} is {value!r}, no {one.attrib['type']}"
