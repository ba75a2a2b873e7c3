//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// As many different free ports of the loopback interface.
///
/// Another process may take one before its user does; that is rare, and shows as a process that does not start.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until all are known, so that none is given twice.
    let listeners = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()
        .context("no free port")?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener
            .local_addr()
            .context("a listener has no address")?
            .port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn ports_are_different() {
        let mut ports = free_ports::<20>().expect("there are free ports").to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
