//! A port that is reserved for a service that is down.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Bound, so that no other process can take it, but not listening, so that connections are refused.
pub struct ReservedPort(Socket);

impl ReservedPort {
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().ok().and_then(|address| address.as_socket()).expect("an address")
    }

    /// Starts to listen, as the service comes up.
    pub fn listen(self) -> TcpListener {
        self.0.listen(128).expect("a listener");
        self.0.into()
    }
}
