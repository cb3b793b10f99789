//! The browser cookie, in and out.

use cookie::{CookieBuilder, SameSite};
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
    for header in headers.get_all(COOKIE) {
        if let Some(id) = lone(header.as_bytes(), &config.browser_cookie.name) {
            cookies.ids.push(id);
            continue;
        }
        match header.to_str() {
            Ok(header) => read_header(header, config, &mut cookies),
            // Other cookies in the same header may hold any bytes.
            Err(_) => read_header(&String::from_utf8_lossy(header.as_bytes()), config, &mut cookies),
        }
    }
    cookies
}

/// The browser of a header that holds nothing but its cookie, as that of most clients does.
fn lone(header: &[u8], name: &str) -> Option<BrowserId> {
    let value = header.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    BrowserId::from_hex(value)
}

/// As the `cookie` crate splits a header, which has no way to do so without a copy of it.
fn read_header(header: &str, config: &Config, cookies: &mut BrowserCookies) {
    for cookie in header.split(';') {
        let Some((name, value)) = cookie.split_once('=') else {
            continue;
        };
        if name.trim() != config.browser_cookie.name {
            continue;
        }
        match without_quotes(value.trim()).parse() {
            Ok(id) => cookies.ids.push(id),
            Err(_) => cookies.foreign = true,
        }
    }
}

fn without_quotes(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
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
    let has_few_attributes = config.domain.is_none() && config.max_age.is_none() && !config.partitioned;
    let cookie = if has_few_attributes {
        write_few(browser, config)
    } else {
        write_any(browser, config)
    };
    HeaderValue::try_from(cookie).ok()
}

/// As [`write_any`], without a formatter: each handshake of a new browser gets a cookie.
fn write_few(browser: BrowserId, config: &BrowserCookie) -> String {
    let same_site = match config.same_site {
        None => "",
        Some(SameSite::Strict) => "; SameSite=Strict",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::None) => "; SameSite=None",
    };
    let id = browser.to_hex();
    let parts = [
        &*config.name,
        "=",
        std::str::from_utf8(&id).unwrap_or_default(),
        if config.http_only { "; HttpOnly" } else { "" },
        same_site,
        if config.secure { "; Secure" } else { "" },
        "; Path=",
        &*config.path,
    ];
    parts.concat()
}

fn write_any(browser: BrowserId, config: &BrowserCookie) -> String {
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
    cookie.build().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            assert_eq!(*found(values).ids, [ID.parse().unwrap()], "{values:?}");
        }
        assert!(found(&["other=1"]).ids.is_empty());
        assert!(found(&["BAYEUX_BROWSER=short"]).foreign);
    }

    #[test]
    fn headers_are_split_as_the_cookie_crate_splits_them() {
        let config = Config::default();
        for pair in [
            "BAYEUX_BROWSER={}",
            " BAYEUX_BROWSER =\t{} ",
            "BAYEUX_BROWSER=\"{}\"",
            "BAYEUX_BROWSER={}=",
            "{}",
        ] {
            let pair = pair.replace("{}", ID);
            for header in [
                "{}",
                ";{};",
                "a=b; {}; c",
                "={};;{}",
                "a;{}",
                "a=\"{}\"",
                "ä={};\u{a0}{}\u{a0};\u{3000}",
                "\"{}",
            ] {
                let header = header.replace("{}", &pair);
                let own: Vec<_> = cookie::Cookie::split_parse(&header)
                    .filter_map(Result::ok)
                    .filter(|cookie| cookie.name() == config.browser_cookie.name)
                    .map(|cookie| cookie.value_trimmed().parse::<BrowserId>())
                    .collect();
                let value = HeaderValue::from_bytes(header.as_bytes()).unwrap();
                let found = read(&HeaderMap::from_iter([(COOKIE, value)]), &config);
                let ids: Vec<_> = own.iter().flatten().copied().collect();
                assert_eq!(*found.ids, *ids, "{header}");
                assert_eq!(found.foreign, own.iter().any(Result::is_err), "{header}");
            }
        }
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
    fn few_attributes_are_written_as_all_are() {
        let id = ID.parse().unwrap();
        for same_site in [None, Some(SameSite::Strict), Some(SameSite::Lax), Some(SameSite::None)] {
            for flags in 0..4 {
                let mut cookie = BrowserCookie::new()
                    .name("B")
                    .path("/a b")
                    .http_only(flags & 1 == 1)
                    .secure(flags & 2 == 2);
                if let Some(same_site) = same_site {
                    cookie = cookie.same_site(same_site);
                }
                assert_eq!(write_few(id, &cookie), write_any(id, &cookie));
            }
        }
    }

    #[test]
    fn a_name_that_fits_no_header_sets_no_cookie() {
        assert!(write(ID.parse().unwrap(), &BrowserCookie::new().name("a\nb")).is_none());
    }
}
