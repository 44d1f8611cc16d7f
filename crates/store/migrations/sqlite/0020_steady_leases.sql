-- Until when a lease holds by the machine's steady clock, which nobody can set. Nothing in rows of before, which were kept
-- by the clock of the wall: of their owners only the lock says whether they live. `until` lies beyond all time in newer
-- rows, so that a program of before leaves them to the lock, too.
ALTER TABLE lease ADD COLUMN beat INTEGER;
