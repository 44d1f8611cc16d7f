//! A certificate for test servers, and a private certificate authority.

use std::path::Path;
use std::process::Command;

use crate::process;

/// The authority, and the certificate of a server on this machine: `localhost` and 127.0.0.1.
pub const AUTHORITY: &str = "ca.pem";
pub const CERTIFICATE: &str = "server.pem";
pub const KEY: &str = "server.key";

/// Creates them in the folder.
pub fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::write(
        folder.join("server.ext"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )?;
    for arguments in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests \
         -addext basicConstraints=critical,CA:TRUE",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile server.ext",
    ] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder).args(arguments.split_whitespace());
        process::output(&mut openssl)?;
    }
    Ok(())
}
