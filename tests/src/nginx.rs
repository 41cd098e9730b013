//! nginx, as a process that ends with its value.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use anyhow::Context as _;

use crate::{netns::Netns, process::Process, scratch::Scratch};

/// Starts it with one server. `server`: its directives. It keeps everything in `scratch`, which its workers, who
/// are not root, may read from then on.
pub fn start(
    netns: &Netns,
    name: &str,
    server: &str,
    scratch: &Scratch,
) -> anyhow::Result<Process> {
    let root = scratch.path();
    fs::set_permissions(root, Permissions::from_mode(0o755))?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{name}-{kind};\n", root.display()))
        .concat();
    let text = format!(
        "daemon off;\npid {root}/{name}.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}sendfile on;\nserver {{\n{server}\n}}\n}}\n",
        root = root.display()
    );
    let path = scratch.join(&format!("{name}.conf"));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    let mut command = netns.command("nginx");
    command.arg("-c").arg(&path);
    Process::spawn(&format!("nginx-{name}"), command, root)
}
