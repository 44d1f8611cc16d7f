-- How many requests a key may make in a minute. NULL: as the settings have it; 0: as many as one likes.
ALTER TABLE api_key ADD COLUMN per_minute INTEGER CHECK (per_minute >= 0);
