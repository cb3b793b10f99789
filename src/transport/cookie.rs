//! The browser cookie, in and out.

use cookie::{Cookie, CookieBuilder};
use http::{HeaderMap, HeaderValue, header::COOKIE};

#[cfg(feature = "websocket")]
use crate::protocol::unix_nanos;
use crate::{
    dispatch::BrowserCookies,
    protocol::BrowserId,
    server::{BrowserBinding, BrowserCookie, Config},
};

/// The browser cookies of a request. Other cookies are passed over.
pub(super) fn read(headers: &HeaderMap, config: &Config) -> BrowserCookies {
    let mut cookies = BrowserCookies::default();
    if config.browser_binding == BrowserBinding::Off {
        return cookies;
    }
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| {
            // Other cookies in the same header may hold any bytes.
            let cookies = String::from_utf8_lossy(header.as_bytes()).into_owned();
            Cookie::split_parse(cookies)
        })
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == config.browser_cookie.name);
    for cookie in pairs {
        match cookie.value_trimmed().parse() {
            Ok(id) => cookies.ids.push(id),
            Err(_) => cookies.foreign = true,
        }
    }
    cookies
}

/// The browser cookies of a request that opens a socket: those of all messages that will come on it.
#[cfg(feature = "websocket")]
pub(super) fn read_for_socket(headers: &HeaderMap, config: &Config) -> BrowserCookies {
    BrowserCookies {
        fixed_at: Some(unix_nanos()),
        ..read(headers, config)
    }
}

/// The `Set-Cookie` header for a new browser; `None` if the configured attributes can't be put into a header.
pub(super) fn write(browser: BrowserId, config: &BrowserCookie) -> Option<HeaderValue> {
    let mut cookie = CookieBuilder::new(config.name.as_ref(), browser.to_string())
        .path(config.path.as_ref())
        .http_only(config.http_only)
        .secure(config.secure)
        .partitioned(config.partitioned);
    if let Some(same_site) = config.same_site {
        cookie = cookie.same_site(same_site);
    }
    if let Some(domain) = &config.domain {
        cookie = cookie.domain(domain.as_ref());
    }
    if let Some(max_age) = config.max_age {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
    }
    HeaderValue::from_str(&cookie.build().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cookie::SameSite;

    use super::*;

    const ID: &str = "00000000000000000000000000000000000000ff";

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (COOKIE, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let config = Config::default();
        let found = |values: &[&str]| read(&headers(values), &config);
        let own = format!("BAYEUX_BROWSER={ID}");
        for values in [
            &[&*own][..],
            &["", &own],
            &[&format!("a=b;{own}; c=d")],
            &[&format!("a=\"b;{own}")],
            &["a=b", &own],
        ] {
            assert_eq!(found(values).ids, [ID.parse().unwrap()], "{values:?}");
        }
        assert!(found(&["other=1"]).ids.is_empty());
        assert!(found(&["BAYEUX_BROWSER=short"]).foreign);
    }

    #[test]
    fn the_attributes_are_those_configured() {
        let id = ID.parse().unwrap();
        assert_eq!(
            write(id, &BrowserCookie::new()).unwrap(),
            format!("BAYEUX_BROWSER={ID}; HttpOnly; Path=/")
        );
        let cookie = BrowserCookie::new()
            .name("B")
            .domain("example.org")
            .path("/cometd")
            .max_age(Duration::from_secs(60))
            .http_only(false)
            .secure(true)
            .same_site(SameSite::None)
            .partitioned(true);
        let header = write(id, &cookie).unwrap();
        let header = header.to_str().unwrap();
        for part in [
            "Domain=example.org",
            "Path=/cometd",
            "Max-Age=60",
            "Secure",
            "SameSite=None",
            "Partitioned",
        ] {
            assert!(header.contains(part), "{part} in {header}");
        }
        assert!(!header.contains("HttpOnly"));
    }

    #[test]
    fn a_name_that_fits_no_header_sets_no_cookie() {
        assert!(write(ID.parse().unwrap(), &BrowserCookie::new().name("a\nb")).is_none());
    }
}
