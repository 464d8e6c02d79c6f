//! A primary with replicas, and Sentinels that watch it. (A Sentinel is a `redis-server --sentinel`.)

use grantd_store_redis::RedisConfig;

use super::{Server, until};

pub(crate) struct Watched {
    /// The primary, at first, and its replicas.
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    /// `arguments` are for every server; each line of `rules` is for every Sentinel.
    pub(crate) fn start(replicas: usize, sentinels: usize, arguments: &[&str], rules: &str) -> Self {
        let primary = Server::start(arguments);
        let port = primary.port.to_string();
        let following = [arguments, &["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]].concat();
        let replicas: Vec<_> = (0..replicas).map(|_| Server::start(&following)).collect();
        for replica in &replicas {
            until("a replica follows", || replica.tells(&["INFO", "replication"], "master_link_status:up"));
        }
        // A Sentinel asks for the replicas when it starts, and then but every ten seconds.
        let quorum = sentinels / 2 + 1;
        let sentinel = || {
            Server::start_with(|_, folder| {
                let file = folder.join("sentinel.conf");
                let text = format!(
                    "sentinel monitor main 127.0.0.1 {port} {quorum}\nsentinel down-after-milliseconds main 1000\n\
                     sentinel failover-timeout main 5000\n{rules}\n"
                );
                std::fs::write(&file, text).unwrap();
                vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()]
            })
        };
        let watched = Self {
            sentinels: (0..sentinels).map(|_| sentinel()).collect(),
            servers: std::iter::once(primary).chain(replicas).collect(),
        };
        watched.settled();
        watched
    }

    /// Waits until every Sentinel knows of all others and of the replicas.
    fn settled(&self) {
        let (others, replicas) = (self.sentinels.len() - 1, self.servers.len() - 1);
        for sentinel in &self.sentinels {
            until("a Sentinel knows the others", || {
                let told = sentinel.cli(&["SENTINEL", "MASTER", "main"]);
                let told: Vec<_> = told.lines().collect();
                let is = |name: &str, value: &str| told.chunks(2).any(|pair| pair == [name, value]);
                is("num-other-sentinels", &others.to_string())
                    && is("num-slaves", &replicas.to_string())
                    && is("flags", "master")
            });
        }
    }

    /// Where the primary is, in the view of the last Sentinel.
    pub(crate) fn primary(&self) -> &Server {
        let told = self.sentinels.last().unwrap().cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
        let port: u16 = told.lines().nth(1).unwrap().parse().unwrap();
        self.servers.iter().find(|server| server.port == port).unwrap()
    }

    pub(crate) fn config(&self) -> RedisConfig {
        let [first, others @ ..] = &self.sentinels[..] else { panic!("no Sentinels") };
        let others: Vec<_> = others.iter().map(|node| format!("&node=127.0.0.1:{}", node.port)).collect();
        let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main{}", first.port, others.concat());
        RedisConfig::new(url)
    }
}
