//! Topologies and helpers for the tests of shunt.
