//! Whose pages may use the server.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN, REFERER},
    request::Parts,
};

use crate::panics::contain;

/// Which pages may use the server from within a browser, whatever the transport; for
/// [`BayeuxBuilder::origins`](crate::BayeuxBuilder::origins).
///
/// Browsers send the cookies of a host whatever page makes the request, and CORS does not keep a request from being made.
/// They do say whose page it is: in `Origin`, and where that is missing, in `Sec-Fetch-Site` and `Referer`, as for the
/// scripts of JSONP. Requests with none of these come from no page and pass.
///
/// ```
/// use tower_bayeux::{BayeuxServer, Origins};
///
/// // Pages of this host, and those of two others.
/// let origins = Origins::own().and("https://example.org").and("https://app.example.org:8443");
/// let bayeux = BayeuxServer::builder().origins(origins).build();
/// ```
#[derive(Clone)]
pub struct Origins {
    listed: Vec<Cow<'static, str>>,
    check: Option<Check>,
}

type Check = Arc<dyn Fn(&Parts, &str) -> bool + Send + Sync>;

impl Origins {
    /// Pages of the host that is asked: their origin has the `Host` of the request. The scheme is not compared, because
    /// TLS often ends in front of the server.
    #[must_use]
    pub const fn own() -> Self {
        Self {
            listed: Vec::new(),
            check: None,
        }
    }

    /// One more, written as browsers send it: `https://example.org`, without a slash at its end, and without the scheme's
    /// own port.
    #[must_use]
    pub fn and(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.listed.push(origin.into());
        self
    }

    /// Those that a function says yes to, besides. It gets the request and the origin, and is called only where that is
    /// neither this host's nor listed.
    #[must_use]
    pub fn and_if(mut self, check: impl Fn(&Parts, &str) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Whether the page that makes a request may.
    pub(crate) fn permit(&self, request: &Parts) -> bool {
        match page_of(&request.headers) {
            Page::None => true,
            Page::Unknown => false,
            Page::Of(origin) => {
                is_own(&origin, request)
                    || self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(&origin))
                    || self.checks(request, &origin)
            }
        }
    }
}

impl Origins {
    /// What the application says. This is asked on the connection's own task: a panic may not end the connection.
    fn checks(&self, request: &Parts, origin: &str) -> bool {
        let check = self.check.as_ref();
        check.is_some_and(|check| contain(|| check(request, origin)).unwrap_or(false))
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins")
            .field("listed", &self.listed)
            .field("has_check", &self.check.is_some())
            .finish()
    }
}

/// What made a request.
enum Page<'a> {
    /// No page, or one of the very host that is asked.
    None,
    Of(Cow<'a, str>),
    /// A page that does not say whose it is.
    Unknown,
}

fn page_of(headers: &HeaderMap) -> Page<'_> {
    if let Some(origin) = headers.get(ORIGIN) {
        return origin.to_str().map_or(Page::Unknown, |origin| Page::Of(origin.into()));
    }
    match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Page::None,
        Some(_) => referer(headers).map_or(Page::Unknown, |origin| Page::Of(origin.into())),
    }
}

fn referer(headers: &HeaderMap) -> Option<String> {
    let referer: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    Some(format!("{}://{}", referer.scheme()?, referer.authority()?))
}

/// Whether an origin names the host that is asked. HTTP/2 has that in the URI.
fn is_own(origin: &str, request: &Parts) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let port = if scheme == "http" { ":80" } else { ":443" };
    let asked = request.uri.authority().map(http::uri::Authority::as_str);
    let asked = asked.or_else(|| request.headers.get(HOST)?.to_str().ok());
    asked.is_some_and(|asked| asked.strip_suffix(port).unwrap_or(asked).eq_ignore_ascii_case(host))
}
