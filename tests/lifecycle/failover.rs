//! A Redis primary dies under load: nobody is signed out, and what was taken back stays taken back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use grantd_proto::{Role, v1};
use tokio::{task::JoinSet, time::Instant};

use super::world::{Held, Party, Said, World, seed};
use crate::redis_support::{cluster::Cluster, sentinel::Watched};

/// What refreshes one credential again and again; ends when told, with what it holds.
struct Refreshing {
    ended: JoinSet<Held>,
    stop: Arc<AtomicBool>,
    /// How often each was answered.
    answered: Vec<Arc<AtomicUsize>>,
    later: Arc<AtomicUsize>,
}

impl Refreshing {
    fn begin(world: &Arc<World>, party: &Party, held: Vec<Held>) -> Self {
        let mut all = Self {
            ended: JoinSet::new(),
            stop: Arc::default(),
            answered: held.iter().map(|_| Arc::default()).collect(),
            later: Arc::default(),
        };
        for (mut held, answered) in held.into_iter().zip(&all.answered) {
            let (world, party) = (world.clone(), party.clone());
            let (stop, answered, later) = (all.stop.clone(), answered.clone(), all.later.clone());
            all.ended.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match world.refresh(&party, &held.refresh).await {
                        Said::Tokens(next) => {
                            held = next;
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        // The only other thing that may be said.
                        Said::Later => {
                            later.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Said::SignIn(status, body) => panic!("signed out: {status} {body}"),
                    }
                }
                held
            });
        }
        all
    }

    /// Waits until each was answered so much more often.
    async fn goes_on(&self, more: usize) {
        let goal: Vec<_> = self.answered.iter().map(|n| n.load(Ordering::Relaxed) + more).collect();
        let begin = Instant::now();
        while self.answered.iter().zip(&goal).any(|(n, goal)| n.load(Ordering::Relaxed) < *goal) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not go on");
            assert!(self.ended.len() == self.answered.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn nobody_is_signed_out(world: World, breaks: impl FnOnce(), what: &str) {
    let world = Arc::new(world);
    let party = world.party().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(world.signed_in(&party).await);
    }
    let mut revoked = Vec::new();
    for _ in 0..4 {
        let held = world.signed_in(&party).await;
        revoked.push((world.grant_of(&held.access).await, held));
    }
    let mut refreshing = Refreshing::begin(&world, &party, held);
    refreshing.goes_on(20).await;
    // Acknowledged, and then the primary is gone: no replica may have heard of it.
    for (grant_id, _) in &revoked {
        let request = v1::RevokeGrantRequest { request_id: world.request_id(), grant_id: grant_id.clone() };
        world.tokens(Role::Admin).revoke_grant(request).await.unwrap();
    }
    breaks();
    let broken = Instant::now();
    let before = refreshing.later.load(Ordering::Relaxed);
    while refreshing.later.load(Ordering::Relaxed) == before {
        assert!(broken.elapsed() < Duration::from_secs(60), "nothing broke");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refreshing.goes_on(1).await;
    let back = broken.elapsed();
    refreshing.goes_on(20).await;
    refreshing.stop.store(true, Ordering::Relaxed);
    let later = refreshing.later.load(Ordering::Relaxed);
    while let Some(held) = refreshing.ended.join_next().await {
        let held = held.unwrap();
        assert!(world.accepts(&held.access).await, "what it was answered last works");
    }
    // Taken back, and should the failover have undone it, taken back again.
    for (_, held) in &revoked {
        let begin = Instant::now();
        while world.accepts(&held.access).await {
            assert!(begin.elapsed() < Duration::from_secs(30), "an acknowledged revocation was undone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(matches!(world.refresh(&party, &held.refresh).await, Said::SignIn(..)));
    }
    eprintln!("{what}: all 8 answered again after {back:?}, {later} times 503, nobody signed out, 4 revocations hold");
}

/// The slots of all grants move away and back while they are refreshed: nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_of_a_cluster_move() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(false, &[])).await.unwrap();
    let world = Arc::new(World::on(seed(), cluster.config()).await);
    let party = world.party().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(world.signed_in(&party).await);
    }
    let mut slots = Vec::new();
    for held in &held {
        slots.push(cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", &world.grant_of(&held.access).await]));
    }
    let mut refreshing = Refreshing::begin(&world, &party, held);
    refreshing.goes_on(20).await;
    for slot in &slots {
        let place = cluster.place_of(slot);
        let (home, away) = (&cluster.nodes[place], &cluster.nodes[(place + 1) % 3]);
        for (from, to) in [(home, away), (away, home)] {
            cluster.move_slot(slot, from, to);
            refreshing.goes_on(2).await;
        }
    }
    refreshing.stop.store(true, Ordering::Relaxed);
    while let Some(held) = refreshing.ended.join_next().await {
        assert!(world.accepts(&held.unwrap().access).await, "what it was answered last works");
    }
    let (moved, later) = (slots.len() * 2, refreshing.later.load(Ordering::Relaxed));
    assert_eq!(later, 0, "a call was answered 503 while a slot moved");
    eprintln!("Cluster: {moved} moves of a slot, no 503, nobody signed out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_behind_sentinel_is_killed() {
    let mut watched = tokio::task::spawn_blocking(|| Watched::start(2, 3, &[], "")).await.unwrap();
    let world = World::on(seed(), watched.config()).await;
    nobody_is_signed_out(world, || watched.servers[0].stop(), "Sentinel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_of_a_cluster_is_killed() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start(true, &[])).await.unwrap();
    let world = World::on(seed(), cluster.config()).await;
    nobody_is_signed_out(world, || cluster.nodes[0].stop(), "Cluster").await;
}
