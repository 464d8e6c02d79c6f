//! A Redis primary dies under load: nobody is signed out, and what was taken back stays taken back.
//!
//! Replication on one machine takes microseconds, so a failover there loses nothing by itself. Here it does: the replicas
//! hang, and their links are cut, before the last that the primary acknowledges.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use grantd_proto::{Role, v1};
use tokio::{
    sync::{RwLock, RwLockWriteGuard},
    task::JoinSet,
    time::Instant,
};

use super::{
    events,
    world::{Held, Party, Said, World, seed},
};
use crate::redis_support::{Server, cluster::Cluster, sentinel::Watched, until};

/// What is promised of a failover.
const RECOVERY: Duration = Duration::from_secs(10);

/// What refreshes one credential again and again; ends when told, with what it holds.
struct Refreshing {
    ended: JoinSet<Held>,
    stop: Arc<AtomicBool>,
    /// Held by each while it is at it.
    at_it: Arc<RwLock<()>>,
    /// How often each was answered.
    answered: Vec<Arc<AtomicUsize>>,
    later: Arc<AtomicUsize>,
}

impl Refreshing {
    fn begin(world: &Arc<World>, party: &Party, held: Vec<Held>) -> Self {
        let mut all = Self {
            ended: JoinSet::new(),
            stop: Arc::default(),
            at_it: Arc::default(),
            answered: held.iter().map(|_| Arc::default()).collect(),
            later: Arc::default(),
        };
        for (mut held, answered) in held.into_iter().zip(&all.answered) {
            let (world, party) = (world.clone(), party.clone());
            let (stop, at_it) = (all.stop.clone(), all.at_it.clone());
            let (answered, later) = (answered.clone(), all.later.clone());
            all.ended.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let _at_it = at_it.read().await;
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

    /// Nobody refreshes until this is dropped.
    async fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.at_it.write().await
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

/// Servers of which the first is the primary that dies, and which of the others are its replicas.
struct Servers<'a> {
    all: &'a mut [Server],
    replicas: &'a [usize],
}

impl Servers<'_> {
    fn primary(&self) -> &Server {
        &self.all[0]
    }

    fn replicas(&self) -> impl Iterator<Item = &Server> {
        self.replicas.iter().map(|place| &self.all[*place])
    }

    /// From now on no replica hears what the primary is told. They have heard all that it was told before.
    fn stop_replicating(&self) {
        let offset = |server: &Server, of: &str| {
            let told = server.cli(&["INFO", "replication"]);
            told.lines().find_map(|line| line.trim().strip_prefix(of).map(str::to_owned)).unwrap()
        };
        until("the replicas have heard all", || {
            let primary = offset(self.primary(), "master_repl_offset:");
            self.replicas().all(|replica| offset(replica, "slave_repl_offset:") == primary)
        });
        self.replicas().for_each(Server::hang);
        // What is sent to a process that hangs would wait for it in the kernel.
        self.primary().cli(&["CLIENT", "KILL", "TYPE", "replica"]);
        assert!(self.primary().tells(&["INFO", "replication"], "connected_slaves:0"));
    }

    /// The primary is gone, and its replicas go on without what they did not hear.
    fn fail_over(&mut self) {
        self.all[0].stop();
        self.replicas().for_each(Server::go_on);
    }
}

/// `is_there`: whether the primary that dies has a grant.
async fn nobody_is_signed_out(
    world: World,
    mut servers: Servers<'_>,
    is_there: impl Fn(&Server, &str) -> bool,
    what: &str,
) {
    let world = Arc::new(world);
    let party = world.party().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(world.signed_in(&party).await);
    }
    let (mut revoked, mut rotated) = (Vec::new(), Vec::new());
    while rotated.len() < 4 {
        let held = world.signed_in(&party).await;
        let grant_id = world.grant_of(&held.access).await;
        if is_there(servers.primary(), &grant_id) {
            let list = if revoked.len() < 4 { &mut revoked } else { &mut rotated };
            list.push((grant_id, held));
        }
    }
    let mut refreshing = Refreshing::begin(&world, &party, held);
    refreshing.goes_on(20).await;

    // Acknowledged, and then the primary is gone with it.
    let pause = refreshing.pause().await;
    servers.stop_replicating();
    for (grant_id, _) in &revoked {
        let request = v1::RevokeGrantRequest { request_id: world.request_id(), grant_id: grant_id.clone() };
        world.tokens(Role::Admin).revoke_grant(request).await.unwrap();
    }
    for (_, held) in &mut rotated {
        *held = world.refreshed(&party, &held.refresh).await;
    }
    servers.fail_over();
    drop(pause);

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
    // These prove that writes were lost: the client is ahead of the store, and is followed.
    for (grant_id, held) in &rotated {
        world.refreshed(&party, &held.refresh).await;
        // More than once where the answer was lost, and the call sent again.
        assert_ne!(events::count(grant_id, "store.rollback_repaired"), 0, "{what}: the failover lost nothing");
    }
    // So the failover undid these, and they are taken back again.
    for (_, held) in &revoked {
        let begin = Instant::now();
        while world.verdicts(&held.access).await != [false; 2] {
            assert!(begin.elapsed() < Duration::from_secs(30), "{what}: an acknowledged revocation was undone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(matches!(world.refresh(&party, &held.refresh).await, Said::SignIn(..)));
    }
    assert!(back < RECOVERY, "{what}: it took {back:?}");
    eprintln!(
        "{what}: all 8 answered again after {back:?}, {later} times 503, nobody signed out, 4 lost rotations \
         followed, 4 lost revocations hold"
    );
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
    let servers = Servers { all: &mut watched.servers, replicas: &[1, 2] };
    nobody_is_signed_out(world, servers, |_, _| true, "Sentinel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_of_a_cluster_is_killed() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start(true, &[])).await.unwrap();
    let world = World::on(seed(), cluster.config()).await;
    let has = |node: &Server, grant_id: &str| {
        let slot = node.cli(&["CLUSTER", "KEYSLOT", grant_id]);
        node.cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) != "0"
    };
    let replica = cluster.primaries;
    let servers = Servers { all: &mut cluster.nodes, replicas: &[replica] };
    nobody_is_signed_out(world, servers, has, "Cluster").await;
}
