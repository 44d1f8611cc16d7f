-- What of all that its role may a key may, as words set apart by spaces. NULL: all of it.
ALTER TABLE api_key ADD COLUMN scopes TEXT;
