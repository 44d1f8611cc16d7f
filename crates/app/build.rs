//! How the binary is linked: functions of one machine code are kept once. Generic code comes to much of that, and memory holds
//! what of the binary is read.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let mut cargo = std::io::stdout();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    // There Rust links with its own lld. Other linkers may not know the word.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,--icf=all")?;
    }
    Ok(())
}
