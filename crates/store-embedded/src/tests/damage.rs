//! Bytes that are not what was written: an error that says so, and nothing is changed by looking; never a panic, never a
//! store that is not what it was.
//!
//! `GRANTD_TEST_DAMAGES=5000` flips more; `GRANTD_TEST_SEED=17` runs one seed, the one a failure names.

use super::{
    model::{self, Model},
    platter::{Chance, Platter},
    power::{for_each_seed, open},
    *,
};
use crate::writer::Thread;

/// How many files are damaged when nothing else is said.
const DAMAGES: u64 = 400;

/// What a store looks like that was closed, and one that was killed; with what was in it, and before the last commit.
struct Stores {
    closed: Vec<u8>,
    killed: Vec<u8>,
    is: Model,
    was: Model,
}

fn stores() -> Stores {
    let platter = Platter::holding(model::empty());
    let database = open(&platter).unwrap();
    let thread = Thread::alone(database.clone(), Arc::new(Driven(AtomicU64::new(1_000))));
    let mut chance = Chance(1);
    let (mut is, mut was) = (Model::default(), Model::default());
    while is.records() < 25 {
        let changes = [model::change(&mut chance, 1_000)];
        assert!(model::write(&thread, &changes));
        let then = is.clone().after(&changes, 1_000);
        if then != is {
            was = std::mem::replace(&mut is, then);
        }
    }
    let killed = platter.image();
    drop((thread, database));
    Stores { closed: platter.image(), killed, is, was }
}

/// Overwrites, zeroes, flips, or cuts off.
fn damage(image: &mut Vec<u8>, chance: &mut Chance) -> &'static str {
    // Half of it in the first sector, where the header is.
    let at = if chance.one_in(2) { chance.below(image.len()) } else { chance.below(512) };
    let end = (at + chance.below(5000)).min(image.len());
    match chance.below(6) {
        0 => {
            image[at..end].fill(0);
            "zeros"
        }
        1 => {
            image[at..end].fill_with(|| chance.below(256) as u8);
            "noise"
        }
        2 => {
            let page = at & !4095;
            let from = chance.below(image.len()) & !4095;
            let other = image[from..(from + 4096).min(image.len())].to_vec();
            let end = (page + other.len()).min(image.len());
            image[page..end].copy_from_slice(&other[..end - page]);
            "a page in another's place"
        }
        3 => {
            let len = if chance.one_in(2) { chance.below(image.len()) } else { chance.below(image.len()) & !4095 };
            image.truncate(len);
            "cut off"
        }
        _ => {
            image[at] ^= 1 << chance.below(8);
            "a bit"
        }
    }
}

#[test]
fn damage_is_an_error_and_nothing_is_changed_by_looking() {
    let stores = stores();
    let mut seen = std::collections::BTreeMap::<_, u64>::new();
    for_each_seed("GRANTD_TEST_DAMAGES", DAMAGES, |mut chance| {
        let killed = chance.one_in(2);
        let mut image = if killed { stores.killed.clone() } else { stores.closed.clone() };
        let what = damage(&mut image, &mut chance);
        let platter = Platter::holding(image.clone());
        let after = match open(&platter) {
            Ok(database) => {
                let is = Model::of(&database).unwrap();
                is.check();
                // Where the writer was killed, a last commit that does not verify is one that was not finished.
                assert!(is == stores.is || (killed && is == stores.was), "{what}: there is {is:?}");
                if is == stores.is { "does not matter" } else { "takes the last commit back" }
            }
            Err(cause) => {
                assert!(platter.image() == image, "{what}: opening changed what it refused: {cause}");
                assert!(matches!(cause, OpenError::Damaged { .. } | OpenError::NotAStore { .. }), "{what}: {cause}");
                assert!(cause.to_string().contains("Put a backup in its place"), "{what}: {cause}");
                "is refused"
            }
        };
        *seen.entry((if killed { "killed" } else { "closed" }, what, after)).or_default() += 1;
    });
    println!("{seen:#?}");
}
