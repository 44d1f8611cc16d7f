-- Whether the last owner let go with nothing out. What was parked before this was kept may have had something out.
ALTER TABLE aggregate ADD COLUMN released INTEGER NOT NULL DEFAULT 0;
