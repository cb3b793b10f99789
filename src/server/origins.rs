//! Whose pages may use the server.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Uri,
    header::{HOST, ORIGIN, REFERER},
    request::Parts,
};

use crate::{Transport, panics::contain};

/// Which pages may use the server from within a browser, whatever the transport; for
/// [`BayeuxBuilder::origins`](crate::BayeuxBuilder::origins).
///
/// Browsers send the cookies of a host whatever page makes the request, and CORS does not keep a request from being made.
/// They do say whose page it is: in `Origin`, and where that is missing, in `Sec-Fetch-Site` or `Referer`, as for the
/// scripts of JSONP. `POST`s and WebSockets with none of these come from no page and pass. Scripts and event streams with
/// none are refused: over plain HTTP, and in old browsers, a page can see to it that there is none. Your own pages need
/// `Referer` there.
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
    /// Pages of the host that is asked: their origin has the `Host` of the request, port included. The scheme is not
    /// compared, because TLS often ends in front of the server.
    ///
    /// `Host` must arrive as the browser sent it. A proxy that changes it, or drops its port as nginx's `$host` does, makes
    /// one's own pages those of another host, which are refused: use `$http_host` there, or list them with
    /// [`and`](Self::and).
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
    pub(crate) fn permit(&self, request: &Parts, transport: Transport) -> bool {
        match page_of(&request.headers, transport) {
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

/// Browsers send `Sec-Fetch-Site` by HTTPS and to their own machine alone, and old ones never; `Referer` a page may keep to
/// itself.
fn page_of(headers: &HeaderMap, transport: Transport) -> Page<'_> {
    if let Some(origin) = headers.get(ORIGIN) {
        return origin.to_str().map_or(Page::Unknown, |origin| Page::Of(origin.into()));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    match (site, headers.get(REFERER)) {
        (Some(b"same-origin" | b"none"), _) => Page::None,
        (_, Some(referer)) => origin_of(referer).map_or(Page::Unknown, |origin| Page::Of(origin.into())),
        (None, None) if names_its_page(transport) => Page::None,
        (_, None) => Page::Unknown,
    }
}

/// Whether a page can't make such a request without an `Origin`, so that one without comes from no page. It can load a
/// script, and ask for an event stream whose answer it is not shown.
const fn names_its_page(transport: Transport) -> bool {
    match transport {
        Transport::LongPolling | Transport::WebSocket => true,
        Transport::CallbackPolling | Transport::EventSource => false,
    }
}

fn origin_of(referer: &HeaderValue) -> Option<String> {
    let referer: Uri = referer.to_str().ok()?.parse().ok()?;
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
