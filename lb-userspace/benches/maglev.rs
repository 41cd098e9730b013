//! How long the largest table takes to build. The paper (Eisenbud et al., NSDI 2016, section 5.3) gives 1.8 ms for
//! 65537 slots. Seen on one core of a shared cloud machine: 1.1 ms for 100 backends, 1.5 ms for 1000, 4.3 ms for 1000 of
//! weight 100.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_common::backend::BackendId;
use lb_userspace::{
    desired::Scheduler,
    scheduler::{self, Candidate},
};

const SLOTS: u32 = 65_537;

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maglev, 65537 slots (paper: 1.8 ms)");
    for (name, backends, weight) in [
        ("100", 100, 1),
        ("1000", 1000, 1),
        ("1000 of weight 100", 1000, 100),
    ] {
        let names: Vec<String> = (0..backends)
            .map(|number| format!("10.0.{}.{}:8001", number / 256, number % 256))
            .collect();
        let candidates: Vec<Candidate<'_>> = names
            .iter()
            .zip(1..)
            .map(|(identity, index)| Candidate {
                identity,
                id: BackendId::new(index, 1),
                weight,
                sixteenths: scheduler::ALL_OF_IT,
            })
            .collect();
        group.bench_with_input(
            BenchmarkId::new("backends", name),
            &candidates,
            |bencher, candidates| {
                bencher
                    .iter(|| scheduler::build(Scheduler::Maglev, 0, SLOTS, black_box(candidates)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
