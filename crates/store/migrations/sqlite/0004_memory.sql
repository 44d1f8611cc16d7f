-- Documents that are found again: what a tenant knows, conversations that are over, what agents did.

-- All pieces of a tenant's collection that were made by one recipe. One answers; at most one other is being built. Each
-- has a full-text table of its own, `memory_text_ID`: so that word statistics are nobody else's, and a whole generation
-- goes at once. Counts are of what can be found.
CREATE TABLE memory_generation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    live       INTEGER NOT NULL,
    space      TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    chunking   TEXT NOT NULL,
    next_place INTEGER NOT NULL,
    documents  INTEGER NOT NULL,
    pieces     INTEGER NOT NULL,
    begun_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX memory_generations ON memory_generation (tenant, collection, live);

-- Ids are never used again: what is left of a removed document can never seem another's.
CREATE TABLE memory_document (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    title      TEXT NOT NULL,
    subject    TEXT,
    metadata   TEXT NOT NULL,
    body       TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX memory_document_names ON memory_document (tenant, collection, name);
CREATE INDEX memory_document_subjects ON memory_document (tenant, subject) WHERE subject IS NOT NULL;

-- Metadata, as filters ask for it. A value is JSON.
CREATE TABLE memory_tag (
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    document   INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection, key, value, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_tag_documents ON memory_tag (document);

-- The revision of a document that can be found in a generation.
CREATE TABLE memory_laid (
    generation INTEGER NOT NULL,
    document   INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    pieces     INTEGER NOT NULL,
    PRIMARY KEY (generation, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_laid_documents ON memory_laid (document);

-- A piece's id is its generation times 2^32, and its place in it.
CREATE TABLE memory_piece (
    id       INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    begins   INTEGER NOT NULL,
    ends     INTEGER NOT NULL,
    heading  TEXT NOT NULL,
    text     TEXT NOT NULL
) STRICT;
CREATE INDEX memory_piece_documents ON memory_piece (document, revision);

-- Vectors as little-endian floats.
CREATE TABLE memory_vector (
    piece    INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    vector   BLOB NOT NULL
) STRICT;

-- The signs of the vectors of consecutive places, packed, each behind its document's id: what a search looks through.
CREATE TABLE memory_block (
    generation INTEGER NOT NULL,
    block      INTEGER NOT NULL,
    codes      BLOB NOT NULL,
    PRIMARY KEY (generation, block)
) STRICT, WITHOUT ROWID;

-- What cannot be found any more and still takes room: pieces of a document below a revision, in any generation; or
-- where `document` is null, all of a generation.
CREATE TABLE memory_debris (
    id         INTEGER PRIMARY KEY,
    generation INTEGER,
    document   INTEGER,
    below      INTEGER
) STRICT;
