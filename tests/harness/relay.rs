//! A TCP relay that can be cut: then nothing passes any more, and nobody is told. What a network partition looks like.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub(crate) struct Relay {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
}

impl Relay {
    /// Passes everything on to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, SocketAddr::from(([127, 0, 0, 1], port)), is_open.clone()));
            }
        });
        Self { port: own, open }
    }

    /// From now on nothing passes, on old connections and new ones.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// New connections pass again; those that were cut have ended.
    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let _ = is_open.wait_for(|open| *open).await;
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        cut = is_open.wait_for(|open| !open) => drop(cut),
    }
    // Held, and silent.
    let _ = is_open.wait_for(|open| *open).await;
}
