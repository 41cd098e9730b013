//! What a kernel takes for each program.

use anyhow::ensure;
use shunt_tests::load::Load;

use super::support::world;

/// A quarter of the instructions that a verifier walks before it gives up (1 million since Linux 5.2).
const BUDGET: u32 = 250_000;

#[test]
fn each_is_verified_within_a_quarter_of_the_limit() {
    world::with(|world| {
        for program in world.programs()? {
            let verified = program.info.verified_instruction_count();
            let load = Load {
                program: program.name.to_owned(),
                took: program.took,
                verified,
            };
            println!("{load}");
            ensure!(
                verified.is_none_or(|verified| verified < BUDGET),
                "expected fewer than {BUDGET} instructions: {load}"
            );
        }
        Ok(())
    });
}
