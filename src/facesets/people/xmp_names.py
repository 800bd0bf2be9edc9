"""Names that photos of a folder bear: face regions that digiKam, Lightroom or Picasa wrote into XMP. Read only; for suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from facesets.photos import DecoderPool, Header, upright_regions
from facesets.progress import Progress
from facesets.records import Box
from facesets.registry import Registry, source_people
from facesets.wording import count_of
from facesets.workspace import Workspace

_BATCH = 200  # photos a transaction


@dataclass(slots=True)
class XmpNames:
    """What reading came to: photos read, names in them, names that lie on a face found here; photos whose names are for another cut
    of the picture, and photos that could not be read.
    """

    photos: int = 0
    names: int = 0
    on_faces: int = 0
    other_cut: int = 0
    unreadable: int = 0

    @property
    def said(self) -> str:
        """In a sentence."""
        if not self.photos + self.unreadable:
            return "no photo of a folder with faces is known here, so there was nothing to read"
        text = f"{count_of(self.photos, 'photo')} read: {count_of(self.names, 'named face')}, {self.on_faces:,} on a face found here"
        if self.other_cut:
            text += f"; {count_of(self.other_cut, 'photo')} left out, cropped since names were given"
        if self.unreadable:
            text += f"; {count_of(self.unreadable, 'photo')} could not be read, and what was known of them stays"
        return text


def read_xmp_names(
    workspace: Workspace, registry: Registry, progress: Progress, decoders: DecoderPool, *, again: bool = True
) -> XmpNames:
    """Learn whom photos of folders name, in their files and in sidecars beside them, and on which faces; no file is written.

    With ``again`` all photos with faces are read; else those that never were. A name is a face's where their boxes overlap by an
    intersection over union of .3 at least, one to one: other programs draw whole heads.
    """
    waiting, done = source_people.folder_photos(registry, again=again), XmpNames()
    photos = iter(waiting)
    if not waiting:
        return done
    with progress.task("reading names", len(waiting), "photos") as task:
        while batch := list(islice(photos, _BATCH)):
            read = [(photo, _readings(workspace, photo, decoders, done)) for photo in batch]
            with registry.transaction():
                for photo, readings in read:
                    if readings is None:
                        continue
                    names, on_faces = source_people.name_faces(registry, photo, readings)
                    done.names += names
                    done.on_faces += on_faces
            task.advance(len(batch))
    with registry.transaction():
        source_people.drop_unnamed(registry)
    return done


def _readings(
    workspace: Workspace, photo: source_people.FolderPhoto, decoders: DecoderPool, done: XmpNames
) -> list[list[tuple[str, Box]]] | None:
    """What a photo's names may mean, the likeliest first; None where it cannot be read."""
    path = workspace.root / photo.path
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        packets = decoders.regions(path)
        header = decoders.header(path) if packets else Header()
    except OSError:
        done.unreadable += 1
        return None
    done.photos += 1
    if not packets:
        return []
    width, height = (photo.width, photo.height) if photo.width and photo.height else header.size or (0, 0)
    readings = upright_regions(packets, header.orientation, width, height) if width and height else []
    done.other_cut += not readings
    return [
        [(face.name, (face.left * width, face.top * height, face.right * width, face.bottom * height)) for face in reading]
        for reading in readings
    ]
