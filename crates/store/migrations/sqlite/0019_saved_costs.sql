-- What tools that a selection left out would have cost: nothing of it was spent.
ALTER TABLE daily_cost ADD COLUMN saved_nanos INTEGER NOT NULL DEFAULT 0;
