-- Of `cache_write_tokens`, those that a provider keeps for an hour: they have a price of their own.
ALTER TABLE routing_decision ADD COLUMN cache_write_hour_tokens INTEGER;
