-- An erasure names the rows it emptied, in the part of it that the chain holds: ranges of `seq`, as JSON.
ALTER TABLE audit_trail ADD COLUMN erases TEXT;
