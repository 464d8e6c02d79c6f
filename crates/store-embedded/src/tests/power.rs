//! Power that fails at any moment, also while the file is opened after the last time.
//!
//! `GRANTD_TEST_POWER_CUTS=5000` cuts more often; `GRANTD_TEST_SEED=17` runs one seed, the one a failure names.

use std::collections::BTreeMap;

use super::{
    model::{self, Model},
    platter::{Chance, Platter},
    *,
};
use crate::writer::Thread;

/// How many histories run when nothing else is said.
const CUTS: u64 = 250;

#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// The seeds to run, each in a place that names it when it fails.
pub(super) fn for_each_seed(variable: &str, default: u64, mut run: impl FnMut(Chance)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("GRANTD_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number(variable).unwrap_or(default),
    };
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| run(Chance(seed)));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("failed with GRANTD_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

pub(super) fn open(platter: &Platter) -> Result<Arc<Database>, OpenError> {
    Database::open("the platter".into(), Disk::new(platter.clone(), None), Duration::ZERO).map(Arc::new)
}

/// Opens after a cut, with more cuts on the way.
fn reopen(mut platter: Platter, chance: &mut Chance, seen: &mut Seen) -> (Platter, Arc<Database>) {
    for _ in 0..3 {
        if chance.one_in(2) {
            break;
        }
        platter.cut_after(1 + chance.below(8));
        let opened = open(&platter);
        assert!(opened.is_ok() || platter.is_off(), "{:?}", opened.err());
        drop(opened);
        let (image, _) = platter.cut(chance);
        platter = Platter::holding(image);
        seen.count("cut while opening");
    }
    let opened = open(&platter);
    (platter, opened.expect("what power loss left is opened"))
}

/// One life: commits until the power goes. What may be there then.
fn live(
    platter: &Platter,
    database: Arc<Database>,
    mut was: Model,
    chance: &mut Chance,
    seen: &mut Seen,
) -> Vec<Model> {
    let clock = Arc::new(Driven(AtomicU64::new(1_000)));
    let thread = Thread::alone(database, clock.clone());
    platter.cut_after(1 + chance.below(80));
    for _ in 0..chance.below(20) {
        let now = clock.0.fetch_add(chance.below(20) as u64, Ordering::SeqCst);
        let now = now.max(clock.0.load(Ordering::SeqCst));
        let (then, acknowledged) = if chance.one_in(6) {
            (was.clone().swept(now), thread.sweep().is_ok())
        } else {
            let changes: Vec<_> = (0..1 + chance.below(6)).map(|_| model::change(chance, now)).collect();
            (was.clone().after(&changes, now), model::write(&thread, &changes))
        };
        if !acknowledged {
            assert!(platter.is_off());
            seen.count("cut while writing");
            return vec![was, then];
        }
        seen.count("acknowledged transactions");
        was = then;
    }
    if chance.one_in(2) {
        // Closing writes too.
        drop(thread);
        seen.count("cut while closing or after");
    }
    vec![was]
}

#[test]
fn what_was_acknowledged_survives_power_loss_and_nothing_is_half_there() {
    let empty = model::empty();
    let mut seen = Seen::default();
    for_each_seed("GRANTD_TEST_POWER_CUTS", CUTS, |mut chance| {
        let chance = &mut chance;
        let mut platter = Platter::holding(empty.clone());
        let mut database = open(&platter).unwrap();
        let mut was = Model::default();
        for _ in 0..3 {
            let may_be = live(&platter, database, was, chance, &mut seen);
            let (image, how) = platter.cut(chance);
            seen.count(how);
            (platter, database) = reopen(Platter::holding(image), chance, &mut seen);
            let is = Model::of(&database).unwrap();
            is.check();
            let nth = may_be.iter().position(|model| *model == is);
            let nth = nth.unwrap_or_else(|| panic!("survived: {how}\nthere is {is:?}\nexpected {may_be:?}"));
            seen.count(if nth == 0 { "as acknowledged" } else { "and the one that was under way, whole" });
            was = is;
        }
    });
    println!("{seen:#?}");
}
