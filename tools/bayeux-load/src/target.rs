//! Where the server is.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// The URL of a Bayeux server, with an address in it: nothing is looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The path, from the slash on.
    pub path: String,
}

impl Target {
    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("a URL begins with http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                (name, port.parse().map_err(|error| format!("port: {error}"))?)
            }
            _ => (host, 80),
        };
        let ip: IpAddr = match name.trim_start_matches('[').trim_end_matches(']') {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            address => address
                .parse()
                .map_err(|_| format!("{name:?} is neither localhost nor an IP address"))?,
        };
        Ok(Self {
            address: SocketAddr::new(ip, port),
            host: host.to_owned(),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target: Target = "http://localhost:8080/cometd".parse().unwrap();
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((&*target.host, &*target.path), ("localhost:8080", "/cometd"));
        let target: Target = "http://[::1]:81".parse().unwrap();
        assert_eq!(target.address, "[::1]:81".parse().unwrap());
        assert_eq!(target.path, "/");
        for wrong in [
            "https://127.0.0.1/",
            "127.0.0.1",
            "http://example.org/",
            "http://127.0.0.1:x/",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        let is_local = |url: &str| url.parse::<Target>().unwrap().is_loopback();
        assert!(is_local("http://127.9.9.9:1/"));
        assert!(is_local("http://[::1]:1/"));
        assert!(!is_local("http://192.0.2.1:1/"));
    }
}
