//! What this kernel can do, and what is done where it cannot. What matters is tried, not inferred from the version:
//! distributions bring features to older kernels. The version only serves for words.

use std::fs;

use anyhow::bail;
use aya::util::KernelVersion;

/// Major and minor version.
type Version = (u8, u8);

/// The oldest kernel this is tested on.
const OLDEST: Version = (5, 10);

/// What newer kernels have, since when, and what is done without it.
const OPTIONAL: &[(Version, &str, &str)] = &[
    (
        (5, 12),
        "the MTU of a route in FIB lookups",
        "the MTU of the interface is used",
    ),
    (
        (5, 18),
        "putting packets back",
        "fragments that come before their first one are passed to the kernel",
    ),
    (
        (5, 18),
        "XDP on frames larger than a page",
        "an interface with such an MTU has generic mode",
    ),
    (
        (5, 18),
        "errors of one's own from cgroup programs",
        "a client on this host whose service has no backend gets EPERM",
    ),
    (
        (6, 3),
        "XDP redirects of frames larger than a page",
        "they leave by another interface through the kernel",
    ),
    (
        (6, 6),
        "tcx links",
        "the egress program is a filter of a clsact qdisc",
    ),
];

/// Says what is done without.
///
/// # Errors
/// A kernel that is too old. Words for whoever runs it: the programs would be refused with less clear ones.
pub fn report() -> anyhow::Result<()> {
    if !is(OLDEST) {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let (major, minor) = OLDEST;
        bail!(
            "found Linux {}, expected {major}.{minor} or later",
            release.trim()
        );
    }
    for &(since, feature, instead) in OPTIONAL {
        if !is(since) {
            let (major, minor) = since;
            tracing::info!(
                feature,
                since = format!("{major}.{minor}"),
                instead,
                "an older kernel"
            );
        }
    }
    Ok(())
}

fn is((major, minor): Version) -> bool {
    // One whose version cannot be read gets the benefit of the doubt.
    KernelVersion::current().map_or(true, |version| {
        version >= KernelVersion::new(major, minor, 0)
    })
}
