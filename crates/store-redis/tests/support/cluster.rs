//! A Redis Cluster of the test's own: primaries share the slots evenly, each with at most one replica.

use std::collections::HashMap;

use grantd_store_redis::RedisConfig;

use super::{Server, free_port, until};

pub(crate) struct Cluster {
    /// The primaries first, then the replica of each.
    pub(crate) nodes: Vec<Server>,
    pub(crate) primaries: usize,
}

const SLOTS: usize = 16384;

impl Cluster {
    /// Three primaries. `arguments` are for every node.
    pub(crate) fn start(replicas: bool, arguments: &[&str]) -> Self {
        Self::start_with(replicas, || arguments.iter().map(|&argument| argument.to_owned()).collect())
    }

    /// With arguments made for each node.
    pub(crate) fn start_with(replicas: bool, arguments: impl Fn() -> Vec<String>) -> Self {
        let primaries = 3;
        let node = || {
            let bus = free_port().to_string();
            let own = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-replica-validity-factor", "0"],
                ["--cluster-allow-replica-migration", "no"],
                ["--repl-diskless-sync-delay", "0"],
                ["--save", ""],
            ];
            let own = own.as_flattened().iter().map(|&argument| argument.to_owned());
            own.chain(arguments()).collect::<Vec<_>>()
        };
        let count = primaries * if replicas { 2 } else { 1 };
        let nodes: Vec<_> = (0..count).map(|_| Server::start_with(|_, _| node())).collect();
        let cluster = Self { nodes, primaries };
        cluster.join();
        cluster
    }

    fn join(&self) {
        let [first, others @ ..] = &self.nodes[..] else { return };
        for (place, node) in self.nodes.iter().enumerate() {
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
            if place < self.primaries {
                let border = |place: usize| place * SLOTS / self.primaries;
                let (from, to) = (border(place).to_string(), (border(place + 1) - 1).to_string());
                node.order(&["CLUSTER", "ADDSLOTSRANGE", &from, &to]);
            }
        }
        for node in others {
            first.meet(node);
        }
        let all = format!("cluster_known_nodes:{}", self.nodes.len());
        until("the nodes know each other", || self.nodes.iter().all(|node| node.tells(&["CLUSTER", "INFO"], &all)));
        for (primary, replica) in self.nodes.iter().zip(self.nodes.iter().skip(self.primaries)) {
            // Where the handshake has not gone all the way round, it is refused.
            until("a replica knows its primary", || replica.cli(&["CLUSTER", "REPLICATE", &primary.id()]) == "OK");
        }
        self.settled();
    }

    /// Waits until every node that runs is content, and every replica follows.
    pub(crate) fn settled(&self) {
        until("the Cluster is settled", || {
            self.running().all(|node| {
                let role = node.cli(&["INFO", "replication"]);
                node.tells(&["CLUSTER", "INFO"], "cluster_state:ok")
                    && (role.contains("role:master") || role.contains("master_link_status:up"))
            }) && (self.nodes.len() == self.primaries
                || self.owners().values().all(|owner| owner.tells(&["INFO", "replication"], "connected_slaves:1")))
        });
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.process.is_some())
    }

    /// Who owns slots, by port, in the view of the first node that runs.
    pub(crate) fn owners(&self) -> HashMap<u16, &Server> {
        let nodes = self.running().next().unwrap().cli(&["CLUSTER", "NODES"]);
        let owners = nodes.lines().filter(|line| line.contains("master") && line.split(' ').nth(8).is_some());
        let ids: Vec<_> = owners.map(|line| line.split(' ').next().unwrap()).collect();
        self.running().filter(|node| ids.contains(&&*node.id())).map(|node| (node.port, node)).collect()
    }

    /// Which of the nodes has something in this slot.
    pub(crate) fn place_of(&self, slot: &str) -> usize {
        self.nodes.iter().position(|node| node.cli(&["CLUSTER", "COUNTKEYSINSLOT", slot]) != "0").unwrap()
    }

    /// As `redis-cli --cluster reshard` does it, for one slot.
    pub(crate) fn move_slot(&self, slot: &str, from: &Server, to: &Server) {
        to.order(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &from.id()]);
        from.order(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &to.id()]);
        loop {
            let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]);
            if keys.is_empty() {
                break;
            }
            let migrate = ["MIGRATE", "127.0.0.1", &to.port.to_string(), "", "0", "5000", "REPLACE", "KEYS"];
            from.order(&[&migrate[..], &keys.lines().collect::<Vec<_>>()].concat());
        }
        for node in [to, from].into_iter().chain(&self.nodes) {
            node.order(&["CLUSTER", "SETSLOT", slot, "NODE", &to.id()]);
        }
    }

    /// With every node as a seed.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(self.url("redis-cluster", "", |node| node.port))
    }

    pub(crate) fn url(&self, scheme: &str, credentials: &str, port: impl Fn(&Server) -> u16) -> String {
        let [first, others @ ..] = &self.nodes[..] else { panic!("no nodes") };
        let others: Vec<_> = others.iter().map(|node| format!("node=127.0.0.1:{}", port(node))).collect();
        format!("{scheme}://{credentials}127.0.0.1:{}?{}", port(first), others.join("&"))
    }

    /// Takes all records away.
    pub(crate) fn flush(&self) {
        self.nodes.iter().take(self.primaries).for_each(|node| node.order(&["FLUSHALL"]));
    }
}

impl Server {
    /// Its id in the Cluster.
    pub(crate) fn id(&self) -> String {
        self.cli(&["CLUSTER", "MYID"])
    }

    /// Whether an answer has this line.
    pub(crate) fn tells(&self, arguments: &[&str], line: &str) -> bool {
        self.cli(arguments).lines().any(|told| told.trim() == line)
    }

    pub(crate) fn meet(&self, other: &Self) {
        let value = |of: &str| other.cli(&["CONFIG", "GET", of]).lines().nth(1).unwrap().to_owned();
        let port = if value("tls-cluster") == "yes" { value("tls-port") } else { other.port.to_string() };
        self.order(&["CLUSTER", "MEET", "127.0.0.1", &port, &value("cluster-port")]);
    }
}
