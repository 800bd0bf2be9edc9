"""A set on one page, to look who is in it before it is handed on: every face, with its year. A file of its own, without a request."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from facesets.files import disk_error, replace_file
from facesets.registry import Registry, exports
from facesets.targets import consent
from facesets.targets.candidates import candidates
from facesets.targets.job import Outcome
from facesets.targets.pictures import NoPicture, Pictures, jpeg, shrunk
from facesets.workspace import Workspace

_SIDE = 160  # pixels


def make_contact_sheet(workspace: Workspace, registry: Registry, person: exports.Person, pictures: Pictures) -> Path:
    """Write ``reports/contact-sheet-<set>.html``, and remember which revision it shows. Raises FacesetsError."""
    outcome = Outcome(person.set_name, person.number, person.name or person.set_name, "")
    cells = []
    for candidate in sorted(
        candidates(workspace, registry, person, pictures, outcome), key=lambda c: (c.taken_at or "", c.face.face_id)
    ):
        try:
            rgb = pictures.set_crop(candidate) if candidate.crop else pictures.aligned(candidate, 2 * _SIDE)
            picture = base64.b64encode(jpeg(shrunk(rgb, _SIDE))).decode()
            seen = f'<img alt="" width="{_SIDE}" src="data:image/jpeg;base64,{picture}">'
        except NoPicture as err:
            seen = f"<p>{html.escape(str(err))}</p>"
        cells.append(f"<figure>{seen}<figcaption>{candidate.year or 'no date'}</figcaption></figure>")
    name = html.escape(person.name or person.set_name)
    page = (
        f'<!doctype html><meta charset="utf-8"><title>{name}</title><style>body{{font:16px sans-serif;margin:2em}}'
        "main{display:flex;flex-wrap:wrap;gap:.6em}figure{margin:0;text-align:center}</style>"
        f"<h1>{name}</h1><p>Faces of {person.set_name}, revision {person.revision}: {len(cells)}. Is every one this person, "
        f"and an adult? Then: <code>facesets consent {person.set_name} --by YOUR-NAME --adult --looked</code></p>"
        f"<main>{''.join(cells)}</main>\n"
    )
    path = workspace.root / "reports" / f"contact-sheet-{person.set_name}.html"
    try:
        replace_file(path, page.encode("utf-8", "replace"))
    except OSError as err:
        raise disk_error(err, path) from err
    consent.note_shown(registry, person)
    return path
