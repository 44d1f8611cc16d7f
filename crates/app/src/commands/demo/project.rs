//! The project of `examples/clinic`, embedded in the binary and written to a scratch folder.

use std::path::{Path, PathBuf};

use anyhow::Context;

macro_rules! clinic {
    ($($file:literal),+ $(,)?) => {
        [$(($file, include_str!(concat!("../../../../../examples/clinic/", $file)))),+]
    };
}

const FILES: [(&str, &str); 7] = clinic![
    "baton.toml",
    "workflows/cita.yaml",
    "agents/appointment_reader.yaml",
    "agents/receptionist.yaml",
    "replies/appointment_reader.yaml",
    "replies/receptionist.yaml",
    "tools/card_terminal.yaml",
];

/// A folder that is removed when the value is dropped, unless it is kept.
pub struct DemoFolder {
    path: PathBuf,
    is_kept: bool,
}

impl DemoFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.path.clone()
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            // A folder that cannot be removed is left to the cleanup of the temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

pub fn write_files() -> anyhow::Result<DemoFolder> {
    let path = std::env::temp_dir().join(format!("baton-demo-{}", uuid::Uuid::now_v7()));
    let folder = DemoFolder { path, is_kept: false };
    for (name, text) in FILES {
        let file = folder.path.join(name);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(folder)
}
