//! Which paths are ours.

/// The paths that Bayeux is served on. Messages are routed by what they are, never by the path they came on.
///
/// ```
/// use tower_bayeux::Paths;
///
/// // `/cometd`, `/cometd/`, `/cometd/handshake` and whatever else a client appends.
/// let paths = Paths::base("/cometd");
///
/// // Four endpoints, each with a base path of its own.
/// let paths: Paths = Paths::endpoints()
///     .handshake("/node/0") // /node/0/handshake
///     .connect("/node/1") // /node/1/connect
///     .subscribe("/node/2") // /node/2, /node/2/subscribe, /node/2/unsubscribe, /node/2/publish
///     .disconnect("/node/3") // /node/3/disconnect
///     .into();
/// ```
#[derive(Clone, Debug)]
pub struct Paths(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Base(Box<str>),
    Endpoints(EndpointPaths),
}

impl Paths {
    /// One base path, and everything below it: clients append the kind of message to the URL. `/cometd-admin` is not
    /// below `/cometd`. An empty base or `/` takes every path.
    #[must_use]
    pub fn base(path: &str) -> Self {
        Self(Kind::Base(normal(path)))
    }

    /// The four endpoints of axum-cometd, each below a base path of its own: all at the root, to begin with.
    #[must_use]
    pub fn endpoints() -> EndpointPaths {
        EndpointPaths::default()
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match &self.0 {
            Kind::Base(base) => path
                .strip_prefix(&**base)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Kind::Endpoints(endpoints) => endpoints.matches(path),
        }
    }
}

impl From<&str> for Paths {
    fn from(base: &str) -> Self {
        Self::base(base)
    }
}

impl From<String> for Paths {
    fn from(base: String) -> Self {
        Self::base(&base)
    }
}

impl From<EndpointPaths> for Paths {
    fn from(endpoints: EndpointPaths) -> Self {
        Self(Kind::Endpoints(endpoints))
    }
}

/// Four endpoints with base paths of their own; see [`Paths::endpoints`]. Nothing else below a base path is taken.
#[derive(Clone, Debug, Default)]
pub struct EndpointPaths {
    handshake: Box<str>,
    connect: Box<str>,
    subscribe: Box<str>,
    disconnect: Box<str>,
}

impl EndpointPaths {
    /// Serves handshakes at `<base>/handshake`.
    #[must_use]
    pub fn handshake(mut self, base: &str) -> Self {
        self.handshake = normal(base);
        self
    }

    /// Serves connects at `<base>/connect`.
    #[must_use]
    pub fn connect(mut self, base: &str) -> Self {
        self.connect = normal(base);
        self
    }

    /// Serves everything else at `<base>` itself, `<base>/subscribe`, `<base>/unsubscribe` and `<base>/publish`.
    #[must_use]
    pub fn subscribe(mut self, base: &str) -> Self {
        self.subscribe = normal(base);
        self
    }

    /// Serves disconnects at `<base>/disconnect`.
    #[must_use]
    pub fn disconnect(mut self, base: &str) -> Self {
        self.disconnect = normal(base);
        self
    }

    fn matches(&self, path: &str) -> bool {
        let path = without_slash(path);
        let (base, endpoint) = path.rsplit_once('/').unwrap_or(("", path));
        match endpoint {
            "handshake" if base == &*self.handshake => true,
            "connect" if base == &*self.connect => true,
            "disconnect" if base == &*self.disconnect => true,
            "subscribe" | "unsubscribe" | "publish" if base == &*self.subscribe => true,
            _ => path == &*self.subscribe,
        }
    }
}

/// A base as it is compared: with a leading slash, whether or not it was written, and without trailing ones. The root is
/// empty.
fn normal(base: &str) -> Box<str> {
    match base.trim_matches('/') {
        "" => "".into(),
        base => format!("/{base}").into(),
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_ends_at_a_segment() {
        for base in ["/cometd", "/cometd/", "cometd", "/cometd//"] {
            let paths = Paths::base(base);
            for ours in ["/cometd", "/cometd/", "/cometd/handshake", "/cometd/a/b/c"] {
                assert!(paths.matches(ours), "{base} {ours}");
            }
            for not_ours in ["/", "/cometd-admin", "/cometdx/connect", "/a/cometd", "/Cometd"] {
                assert!(!paths.matches(not_ours), "{base} {not_ours}");
            }
        }
    }

    #[test]
    fn an_empty_base_takes_every_path() {
        for base in ["", "/"] {
            assert!(Paths::base(base).matches("/"), "{base}");
            assert!(Paths::base(base).matches("/a/b"), "{base}");
        }
    }

    #[test]
    fn endpoints_have_base_paths_of_their_own() {
        let paths: Paths = Paths::endpoints()
            .handshake("/node/0")
            .connect("/node/1/")
            .subscribe("/node/2")
            .disconnect("/node/3")
            .into();
        for ours in [
            "/node/0/handshake",
            "/node/1/connect",
            "/node/1/connect/",
            "/node/2",
            "/node/2/",
            "/node/2/subscribe",
            "/node/2/unsubscribe",
            "/node/2/publish",
            "/node/3/disconnect",
        ] {
            assert!(paths.matches(ours), "{ours}");
        }
        for not_ours in [
            "/",
            "/node/0",
            "/node/0/connect",
            "/node/1/handshake",
            "/node/2/connect",
            "/handshake",
        ] {
            assert!(!paths.matches(not_ours), "{not_ours}");
        }
    }

    #[test]
    fn endpoints_stand_at_the_root_by_default() {
        let paths: Paths = Paths::endpoints().into();
        for ours in ["/", "/handshake", "/connect", "/disconnect", "/subscribe"] {
            assert!(paths.matches(ours), "{ours}");
        }
        assert!(!paths.matches("/x"));
    }
}
