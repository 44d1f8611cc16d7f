//! Triggers that start runs: schedules. Pure; the engine stores the triggers and starts the runs.

pub mod cron;
