-- Who has schedules, subscriptions and deliveries to be made is looked for in all tenants, and often.
CREATE INDEX record_rounds ON record (space, tenant)
    WHERE space = 'schedule' OR space = 'subscription' OR space = 'webhook_pending';
