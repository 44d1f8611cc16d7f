-- Persons who were forgotten, by the SHA-256 of what they were called: what began before `number` or `at` and is about them
-- is not kept any more. One row a person who was forgotten.
CREATE TABLE memory_forgotten (
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    person     TEXT NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_forgettings ON memory_forgotten (tenant, collection, number);
