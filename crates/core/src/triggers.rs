//! What begins runs by itself: when a schedule comes round. Pure; who keeps and begins them is the engine.

pub mod cron;
