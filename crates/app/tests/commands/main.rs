//! The binary from outside: what each command prints, and with what code it ends.

mod agents;
mod doctor;
mod examples;
mod generate;
mod hostile;
mod init;
mod knowledge;
mod models;
mod money;
mod pages;
mod place;
mod reading;
mod reference;
mod runs;
mod seeds;
mod serve;
mod server;
mod upstream;
mod usage;
mod workflow_tests;
