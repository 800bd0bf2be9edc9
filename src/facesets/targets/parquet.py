"""Parquet with pictures and vectors, as Hugging Face's datasets and any data frame read it. Needs pyarrow."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from facesets import extras
from facesets.errors import UsageError
from facesets.targets.imagefolder import columns, crops_of
from facesets.targets.job import Item, Job
from facesets.targets.names import file_name


def files(job: Job) -> Mapping[str, Item]:
    """``NAME.parquet``: ``image`` (bytes, path), ``embedding`` (float32 [d], unit length), and what is known of each face."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as err:
        raise UsageError(f"parquet files are written with pyarrow: {extras.get('parquet')}") from err
    faces = crops_of(job)
    if not faces:
        return {}
    rows = [columns(job, candidate) for candidate, _ in faces]
    dim = len(faces[0][0].vector)
    pictures = [
        {"bytes": item.data.read_bytes() if isinstance(item.data, Path) else item.data, "path": f"{c.key}.png"} for c, item in faces
    ]
    kinds = {"person": pa.string(), "set": pa.string(), "face_id": pa.string(), "year": pa.int32()}
    vectors = np.concatenate([c.vector for c, _ in faces]).astype(np.float32)
    arrays = {
        "image": pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors, pa.float32()), dim),
        **{key: pa.array([row[key] for row in rows], kinds.get(key, pa.float64())) for key in rows[0]},
    }
    table = pa.table(arrays).replace_schema_metadata({"huggingface": json.dumps(_features(dim)), "pack": job.person.pack})
    out = io.BytesIO()
    pq.write_table(table, out, compression="none", row_group_size=256)  # PNGs are compressed already
    name = file_name(job.called, job.person.set_name)
    return {f"{name}.parquet": Item(out.getvalue(), {"faces": [job.about(candidate) for candidate, _ in faces]})}


def _features(dim: int) -> dict[str, object]:
    """What ``datasets`` is told of the columns: that pictures are pictures."""
    kinds = {"person": "string", "set": "string", "face_id": "string", "year": "int32"}
    plain = {key: {"dtype": kinds.get(key, "float64"), "_type": "Value"} for key in (*kinds, "distance", "quality", "face_short")}
    embedding = {"feature": {"dtype": "float32", "_type": "Value"}, "length": dim, "_type": "List"}
    return {"info": {"features": {"image": {"_type": "Image"}, "embedding": embedding, **plain}}}
