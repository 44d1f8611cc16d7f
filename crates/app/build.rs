//! Linker options of the binary: functions with identical machine code are merged. Generic code produces many of them,
//! and the parts of the binary that are read take memory.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let mut cargo = std::io::stdout();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    // On this target Rust links with its own lld. Other linkers may not know the option.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,--icf=all")?;
    }
    Ok(())
}
