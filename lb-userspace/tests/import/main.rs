//! Configurations of others, what is made of them, and what is said of the rest.
#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod binary;
mod robust;
mod snapshots;

use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}
