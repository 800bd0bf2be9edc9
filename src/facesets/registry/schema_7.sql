-- What is true in a workspace. Assets are keyed by the server's user id and asset id; a photo is its bytes; faces are places in photos,
-- and each pack's measure of one is apart. A state is never stored: it follows from the reason (records.Reason.state).

CREATE TABLE users (
    label TEXT PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- A run without an end is under way while somebody holds the workspace's lock, and was cut off where nobody does.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    pid INTEGER,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    exit_code INTEGER,
    counters TEXT NOT NULL DEFAULT '{}'
) STRICT;

-- Pictures, known by the SHA-256 of their bytes, or by what stands for these until they come (source_key: sha1:... of uploads,
-- asset:... of others). One with both is the same picture.
CREATE TABLE photos (
    id INTEGER PRIMARY KEY,
    sha256 TEXT UNIQUE,
    source_key TEXT UNIQUE,
    size INTEGER,
    width INTEGER,       -- oriented pixels
    height INTEGER,
    orientation INTEGER, -- as EXIF has it
    path TEXT,           -- of the staged original: relative to the workspace, or absolute for a folder's photo
    pixels TEXT NOT NULL DEFAULT 'original',  -- which picture of the asset it is: original, fullsize, preview
    CHECK (sha256 IS NOT NULL OR source_key IS NOT NULL)
) STRICT;

CREATE TABLE assets (
    id INTEGER PRIMARY KEY,
    owner_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    original_path TEXT NOT NULL,
    file_name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    sha1 TEXT,
    library_id TEXT,
    size_bytes INTEGER,
    width INTEGER,
    height INTEGER,
    taken_at TEXT,
    updated_at TEXT,
    thumbhash TEXT,
    visibility TEXT NOT NULL,
    is_trashed INTEGER NOT NULL,
    is_offline INTEGER NOT NULL,
    is_edited INTEGER NOT NULL,
    boxes TEXT,
    is_stacked INTEGER NOT NULL DEFAULT 0,  -- beneath another photo of its stack
    reason TEXT NOT NULL,
    detail TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    previewed_with TEXT, -- the pack that found no face worth a download on its preview
    pixels TEXT NOT NULL DEFAULT 'original',  -- which picture of it is here, or wanted: original, fullsize, preview; none: no other to have
    photo_id INTEGER REFERENCES photos (id),
    kept_id INTEGER REFERENCES assets (id),   -- for a duplicate: the asset that stands for the photo
    seen_run INTEGER NOT NULL,
    UNIQUE (owner_id, asset_id)
) STRICT;
CREATE INDEX assets_by_label ON assets (label, reason);
CREATE INDEX assets_by_photo ON assets (photo_id) WHERE photo_id IS NOT NULL;
CREATE INDEX assets_by_kept ON assets (kept_id) WHERE kept_id IS NOT NULL;
CREATE INDEX assets_by_sha1 ON assets (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX assets_stacked ON assets (owner_id, source, taken_at, visibility) WHERE is_stacked = 1;
CREATE INDEX assets_by_look ON assets (size_bytes, thumbhash) WHERE photo_id IS NOT NULL;
-- What a source has of each month, compared with its own counts at every run.
CREATE INDEX assets_by_time ON assets (owner_id, source, taken_at, visibility, is_trashed, asset_id, seen_run) WHERE seen_run > 0;

-- An original's file is named after its asset: where that has other bytes now, the file is no longer this photo's.
CREATE TRIGGER asset_leaves_photo AFTER UPDATE OF photo_id ON assets
WHEN old.photo_id IS NOT NULL AND new.photo_id IS NOT old.photo_id AND old.kept_id IS NULL
BEGIN
    UPDATE photos SET path = NULL WHERE id = old.photo_id;
END;

-- One row for each photo that a pack has been through, with or without faces.
CREATE TABLE embedded (
    photo_id INTEGER NOT NULL REFERENCES photos (id),
    pack TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    by_source INTEGER NOT NULL DEFAULT 0,  -- 1: its source said so, before any bytes
    digest TEXT,         -- of what its source said of its faces; NULL: measured here, or to be asked again
    PRIMARY KEY (photo_id, pack)
) STRICT, WITHOUT ROWID;

-- Places in photos where somebody is seen: one row whatever the number of packs. The box is the first pack's.
CREATE TABLE faces (
    id INTEGER PRIMARY KEY,
    photo_id INTEGER NOT NULL REFERENCES photos (id),
    x1 REAL NOT NULL,
    y1 REAL NOT NULL,
    x2 REAL NOT NULL,
    y2 REAL NOT NULL,
    source_face_id TEXT,
    source_person_id TEXT
) STRICT;
CREATE INDEX faces_by_photo ON faces (photo_id);

CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    face_id INTEGER NOT NULL REFERENCES faces (id),
    photo_id INTEGER NOT NULL REFERENCES photos (id),  -- the face's: what UNIQUE and the order of a plan need
    pack TEXT NOT NULL,
    idx INTEGER NOT NULL,
    key TEXT NOT NULL UNIQUE,       -- the public id: 32 hex digits derived from photo, pack and box
    by_source INTEGER NOT NULL,     -- 1: told by its source, under the photo's source_key; 0: measured from its bytes
    engine TEXT NOT NULL DEFAULT 'unknown',
    x1 REAL NOT NULL,
    y1 REAL NOT NULL,
    x2 REAL NOT NULL,
    y2 REAL NOT NULL,
    landmarks TEXT NOT NULL,
    det_score REAL NOT NULL,        -- -1: not known
    face_short REAL NOT NULL,
    sharpness REAL NOT NULL,        -- -1: not known
    signals TEXT NOT NULL,
    vector BLOB NOT NULL,           -- float32; empty where the source has none that can be used
    UNIQUE (photo_id, pack, idx)
) STRICT;
CREATE INDEX measurements_by_face ON measurements (face_id, pack);
CREATE INDEX measurements_by_pack ON measurements (pack);

CREATE TABLE people (
    id INTEGER PRIMARY KEY,
    number INTEGER UNIQUE,          -- of the canonical set; for ever
    name TEXT,
    birth_date TEXT,
    standing TEXT NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'ignored', 'merged', 'forgotten')),
    merged_into INTEGER REFERENCES people (id)
) STRICT;

CREATE TABLE sets (
    id INTEGER PRIMARY KEY,
    person_id INTEGER NOT NULL REFERENCES people (id),
    kind TEXT NOT NULL DEFAULT 'canonical' CHECK (kind IN ('canonical', 'era')),
    year_from INTEGER,
    year_to INTEGER,
    thin INTEGER NOT NULL DEFAULT 0,
    name TEXT NOT NULL UNIQUE,      -- of its folder
    revision INTEGER NOT NULL DEFAULT 1,
    origin TEXT NOT NULL CHECK (origin IN ('made', 'adopted')),
    pack TEXT NOT NULL,
    written INTEGER NOT NULL,       -- 0: planned, its folder is still to be written
    retired INTEGER NOT NULL DEFAULT 0,  -- 1: its folder is gone for good; the number stays used
    run_id INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sets_canonical ON sets (person_id) WHERE kind = 'canonical';

-- Where each face has got to: one standing a face.
CREATE TABLE memberships (
    face_id INTEGER PRIMARY KEY REFERENCES faces (id),
    person_id INTEGER REFERENCES people (id),  -- whose it is, or was left out of
    standing TEXT NOT NULL,                    -- records.Reason
    pack TEXT NOT NULL,                        -- by whose measure
    distance REAL,                             -- to the person's nearest centroid
    runner_up_id INTEGER REFERENCES people (id),
    runner_up_distance REAL,
    ambiguous INTEGER NOT NULL DEFAULT 0,      -- 1: the runner-up is within the match distance too
    group_number INTEGER,
    group_size INTEGER,
    gate_has REAL,                             -- the figures of the gate that the standing names
    gate_needs REAL,
    better_key TEXT,                           -- for a near duplicate: the measurement that stands for it
    was_for TEXT,                              -- the planned set that its photo was lost to
    note TEXT,                                 -- what it lacks, or why its photo was lost
    evidence TEXT,                             -- for explain alone: groups near by, the merge of fragments
    decided_by TEXT NOT NULL DEFAULT 'run' CHECK (decided_by IN ('run', 'decision'))
) STRICT;
CREATE INDEX memberships_by_standing ON memberships (standing, pack);
CREATE INDEX memberships_by_person ON memberships (person_id, standing) WHERE person_id IS NOT NULL;

-- What is in a set's folder, in its order.
CREATE TABLE set_faces (
    set_id INTEGER NOT NULL REFERENCES sets (id),
    rank INTEGER NOT NULL,
    measurement_id INTEGER NOT NULL REFERENCES measurements (id),
    distance REAL NOT NULL,
    file TEXT,                      -- below the set's folder, once it is written
    PRIMARY KEY (set_id, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX set_faces_by_measurement ON set_faces (measurement_id);

-- A file whose size, time and inode are as recorded is known to have the recorded bytes; verify hashes all the same.
CREATE TABLE set_files (
    set_id INTEGER NOT NULL REFERENCES sets (id),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER,
    inode INTEGER,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (set_id, path)
) STRICT, WITHOUT ROWID;

-- Years 0 to 0: the mean of all.
CREATE TABLE centroids (
    person_id INTEGER NOT NULL REFERENCES people (id),
    pack TEXT NOT NULL,
    year_from INTEGER NOT NULL DEFAULT 0,
    year_to INTEGER NOT NULL DEFAULT 0,
    n INTEGER NOT NULL,
    vector BLOB NOT NULL,           -- float64
    PRIMARY KEY (person_id, pack, year_from, year_to)
) STRICT, WITHOUT ROWID;

-- What a user said, in terms that outlive this registry: content keys ({sha256 or source_key, box, source, owner, asset id}) and set
-- numbers. Only ever added to; one that was taken back says by which other.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    act TEXT NOT NULL,
    payload TEXT NOT NULL,
    at TEXT NOT NULL,
    undoes INTEGER REFERENCES decisions (id),
    undone_by INTEGER REFERENCES decisions (id)
) STRICT;
-- What is to be done to sets. Planned, then applied file step by file step; undone later, or given up with a reason.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL DEFAULT '{}',
    inverse TEXT NOT NULL DEFAULT '{}',
    state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'applied', 'undone', 'given_up')),
    reason TEXT,
    decision_id INTEGER REFERENCES decisions (id),
    run_id INTEGER,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_state ON changes (state) WHERE state = 'planned';

CREATE TABLE change_steps (
    change_id INTEGER NOT NULL REFERENCES changes (id),
    n INTEGER NOT NULL,
    action TEXT NOT NULL,
    arguments TEXT NOT NULL DEFAULT '{}',
    state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done')),
    PRIMARY KEY (change_id, n)
) STRICT, WITHOUT ROWID;

-- Faces and people as their source names them.
CREATE TABLE source_faces (
    label TEXT NOT NULL,
    face_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    person_id TEXT,
    box TEXT NOT NULL,
    PRIMARY KEY (label, face_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_faces_by_asset ON source_faces (label, asset_id);

CREATE TABLE source_people (
    label TEXT NOT NULL,
    person_id TEXT NOT NULL,
    name TEXT NOT NULL,
    birth_date TEXT,
    hidden INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (label, person_id)
) STRICT, WITHOUT ROWID;

-- Facts of the workspace itself: the highest number ever given, the fingerprint of what the last plan saw.
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    run_id INTEGER,
    at TEXT NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL DEFAULT '{}'
) STRICT;

-- Photos that could not be had: in how many runs, since when, when last, and the source's date of them then.
CREATE TABLE failures (
    asset INTEGER PRIMARY KEY REFERENCES assets (id),
    failures INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    updated_at TEXT
) STRICT;
