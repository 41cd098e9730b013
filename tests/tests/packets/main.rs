//! Packet tables: rows of (description, setup, packet in, verdict, packet out), run through the real compiled
//! programs with `BPF_PROG_TEST_RUN` and compared byte for byte with packets that independent code made.
//!
//! | module | rows about |
//! |---|---|
//! | [`forward`] | where a client's packet goes, and how it is changed |
//! | [`stays`] | what is not forwarded: not ours, nobody there, no hops left |
//! | [`vlan`] | tags, arriving and leaving |
//! | [`large`] | frames larger than a page |
//! | [`headers`] | options, extension headers, other protocols |
//! | [`fragments`] | packets in pieces |
//! | [`malformed`] | headers that lie or end too early |
//! | [`icmp`] | pings, and errors about flows |
//! | [`refusals`] | errors that the load balancer sends itself |
//! | [`ports`] | whole addresses, and backends that keep the client's port |
//! | [`reply`] | a backend's packets, arriving and leaving |
//! | [`fullnat`] | flows both of whose ends are translated, and their replies |
//! | [`snat_ports`] | no rows: the ports of thousands of flows |
//! | [`programs`] | no rows: what a kernel takes for each program |
//! | [`counts`] | no rows: how many connections are open |
//! | [`flood`] | no rows: flows that outlive a flood |
//! | [`by_client`] | slots that follow from the client's address alone |
//! | [`tracked`] | pools that record every flow |
//! | [`slots`] | slots in every state, and flags that open a flow or do not |
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod by_client;
mod counts;
mod flood;
mod forward;
mod fragments;
mod fullnat;
mod headers;
mod icmp;
mod large;
mod malformed;
mod ports;
mod programs;
mod refusals;
mod reply;
mod slots;
mod snat_ports;
mod stays;
mod support;
mod torn;
mod tracked;
mod tunnels;
mod vlan;

use std::collections::BTreeSet;

use support::{plan::Kind, row::Row, world};

/// Every row there is.
fn rows() -> Vec<Row> {
    let topics: [fn(Kind) -> Vec<Row>; 16] = [
        forward::rows,
        stays::rows,
        headers::rows,
        fragments::rows,
        malformed::rows,
        ports::rows,
        reply::rows,
        slots::rows,
        by_client::rows,
        tracked::rows,
        tunnels::rows,
        icmp::rows,
        refusals::rows,
        vlan::rows,
        large::rows,
        fullnat::rows,
    ];
    topics
        .iter()
        .flat_map(|topic| Kind::ALL.into_iter().flat_map(topic))
        .collect()
}

#[test]
fn every_row_becomes_what_it_says() {
    let rows = rows();
    world::with(|world| {
        let (can_run, cannot): (Vec<_>, Vec<_>) = rows.iter().partition(|row| world.can_run(row));
        let failures: Vec<_> = can_run
            .into_iter()
            .filter_map(|row| {
                let error = world.check(row).err()?;
                Some(format!("{}\n  {error:#}", row.description))
            })
            .collect();
        anyhow::ensure!(
            failures.is_empty(),
            "{} of {} rows failed\n\n{}",
            failures.len(),
            rows.len(),
            failures.join("\n")
        );
        println!(
            "{} rows, {} of them not on this kernel",
            rows.len(),
            cannot.len()
        );
        Ok(())
    });
}

#[test]
fn descriptions_are_unique() {
    let rows = rows();
    let mut known = BTreeSet::new();
    let twice: Vec<_> = rows
        .iter()
        .map(|row| &row.description)
        .filter(|description| !known.insert(*description))
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
