"""ReActor's face model: one ``.safetensors`` with the averaged vector of a person and the landmarks of their best picture.

Only InsightFace's buffalo_l family makes vectors that ReActor's swapper understands. Its networks are run by InsightFace's own code,
for the chosen crops alone; what is written is numpy and JSON.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets import extras
from facesets.errors import PackUnavailable
from facesets.faces import folders_of_pack
from facesets.models import model_files
from facesets.targets.fsz import few_of_one_era
from facesets.targets.job import Item, Job
from facesets.targets.names import file_name
from facesets.targets.pictures import NoPicture
from facesets.targets.terms import Pixels

#: What ReActor reads, in the order in which it is written: dtype and shape.
TENSORS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "bbox": ("F32", (4,)), "kps": ("F32", (5, 2)), "det_score": ("F32", ()), "landmark_3d_68": ("F32", (68, 3)), "pose": ("F32", (3,)),
    "landmark_2d_106": ("F32", (106, 2)), "embedding": ("F32", (512,)), "gender": ("I64", ()), "age": ("I64", ()),
}  # fmt: skip
_RECOGNISER = "w600k_r50.onnx"  # whose vectors its swapper understands; buffalo_m has the same one
_FAMILY = frozenset({"buffalo_l", "buffalo_m"})
_DTYPE = {"F32": "<f4", "I64": "<i8"}


def files(job: Job) -> Mapping[str, Item]:
    """``NAME.safetensors``, for ``models/reactor/faces``."""
    networks = _Networks(_folder(job))
    found: list[tuple[Any, dict[str, Any]]] = []
    for candidate in few_of_one_era(job):
        if len(found) >= job.count:
            break
        try:
            found.append((candidate, networks.face(job.pictures.aligned(candidate, 512))))
        except NoPicture as err:
            job.leave_out(candidate, err)
    if not found:
        return {}
    found.sort(key=lambda one: (-one[0].quality, one[0].face.face_id))
    model = dict(found[0][1]) | {"embedding": np.mean([face["embedding"] for _, face in found], axis=0)}  # raw ones, as ReActor blends
    name = file_name(job.called, job.person.set_name)
    return {f"{name}.safetensors": Item(safetensors(model), {"faces": [job.about(candidate) for candidate, _ in found]})}


def safetensors(model: Mapping[str, npt.ArrayLike]) -> bytes:
    """The tensors of a face as a safetensors file: eight bytes of length, a JSON header, the values."""
    header, body = {}, b""
    for name, (kind, shape) in TENSORS.items():
        data = np.asarray(model[name]).astype(_DTYPE[kind]).reshape(shape).tobytes()
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def _folder(job: Job) -> Path:
    """The pack's folder. Raises PackUnavailable where there is none whose vectors ReActor can use."""
    pack = job.person.pack
    family = _FAMILY.intersection(pack.split("@"))
    folders = folders_of_pack(job.workspace, job.registry, pack)
    known = [folder for folder in folders if any(path.name == _RECOGNISER for path in model_files(folder))]
    if known or (family and folders):
        return known[0] if known else folders[-1]
    if family:
        raise PackUnavailable(
            f"the model pack {min(family)} is not on this machine, and ReActor's faces are made by its networks. Is it in a folder of "
            'yours? Put the line  pack = "FOLDER"  under [embed] in facesets.toml'
        )
    raise PackUnavailable(
        f"ReActor takes vectors of InsightFace's buffalo_l alone (of its {_RECOGNISER}), and {job.person.set_name} was made with "
        f"{pack}. Its faces mean nothing to it; --to fsz and --to folder hand on pictures, which it can take too"
    )


class _Networks:
    """InsightFace's own classes for a pack's networks. Raises PackUnavailable where one is missing."""

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what its imports warn of is nobody's concern here
                from insightface.app.common import Face  # noqa: PLC0415 - an extra, and slow to import
                from insightface.model_zoo import get_model  # noqa: PLC0415
        except ImportError as err:
            raise PackUnavailable(f"ReActor's faces are made with InsightFace: {extras.get('insightface')}") from err
        self._face = Face
        self._by_task: dict[str, Any] = {}
        for path in model_files(folder):
            try:
                model = get_model(str(path), providers=["CPUExecutionProvider"])
            except Exception as err:  # whatever its reader makes of a file that is cut off
                raise PackUnavailable(f"{path} is not an ONNX file that InsightFace can load: {err}") from err
            if model is not None:
                self._by_task.setdefault(model.taskname, model)
        missing = {"detection", "recognition", "landmark_3d_68", "landmark_2d_106", "genderage"} - set(self._by_task)
        if missing:
            raise PackUnavailable(
                f"{folder} has no network for {', '.join(sorted(missing))}; ReActor's faces need all five of buffalo_l"
            )
        self._by_task["detection"].prepare(-1, input_size=(640, 640), det_thresh=0.5)

    def face(self, rgb: Pixels) -> dict[str, Any]:
        """What InsightFace says of the one face in a picture. Raises NoPicture."""
        bgr = np.ascontiguousarray(rgb[:, :, ::-1])
        boxes, landmarks = self._by_task["detection"].detect(bgr)
        if len(boxes) != 1:
            raise NoPicture("InsightFace finds no face in its crop" if not len(boxes) else "somebody else is in its crop")
        face = self._face(bbox=boxes[0, :4], kps=landmarks[0], det_score=boxes[0, 4])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of scikit-image, whose older names it uses
            for task, model in self._by_task.items():
                if task != "detection":
                    model.get(bgr, face)
        return {name: face[name] for name in TENSORS}
