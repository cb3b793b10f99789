//! Requests that lie about the length of their body, or leave it open. Nothing of them is processed, and nobody else
//! notices.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Caller, Site, Wire, soon};
use tokio::io::AsyncWriteExt;
use tower_bayeux::BayeuxServer;

/// A site, and a client of it that must not notice anything.
async fn site() -> (Site, Caller) {
    let builder = BayeuxServer::builder()
        .body_timeout(Duration::from_millis(100))
        .max_body_bytes(10_000);
    let site = Site::open_impatient(builder).await;
    let caller = Caller::start_fresh(site.address).await;
    (site, caller)
}

fn publish(caller: &Caller) -> String {
    json!([{ "channel": "/a", "clientId": caller.id, "data": 99 }]).to_string()
}

/// Sends a request with these headers and this body; the statuses of all answers until the connection ends.
async fn statuses(site: &Site, headers: &str, body: &[u8], closes: bool) -> Vec<u16> {
    let mut wire = Wire::open(site.address).await.unwrap();
    let head = format!("POST /cometd HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    wire.send(&[head.as_bytes(), body].concat()).await.unwrap();
    if closes {
        wire.stream.shutdown().await.unwrap();
    }
    let mut statuses = Vec::new();
    while let Some((status, _)) = soon(wire.answer()).await {
        statuses.push(status);
    }
    statuses
}

async fn nothing_happened(site: &Site, caller: &mut Caller) {
    assert_eq!(site.server.stats().published_messages, 0);
    assert_eq!((site.server.session_count(), site.server.stats().held_connects), (1, 0));
    site.server.publish("/a", &1).unwrap();
    assert!(soon(caller.poll()).await);
    assert_eq!((&*caller.numbers, caller.sessions), (&[1][..], 1));
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_waited_for_and_refused() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    for more in [1, 10, 1000] {
        let headers = format!("content-length: {}\r\n", body.len() + more);
        assert_eq!(statuses(&site, &headers, body.as_bytes(), false).await, [408], "{more}");
    }
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn a_body_whose_sender_closes_before_its_announced_end_is_refused() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    let headers = format!("content-length: {}\r\n", body.len() + 1);
    let statuses = statuses(&site, &headers, body.as_bytes(), true).await;
    assert!(statuses.is_empty() || statuses == [400], "{statuses:?}");
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn a_body_longer_than_announced_is_cut_there_and_the_rest_is_no_request() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    for less in [1, 10, body.len() - 1] {
        let headers = format!("content-length: {}\r\n", body.len() - less);
        let statuses = statuses(&site, &headers, body.as_bytes(), false).await;
        // What hyper makes of the rest of it: too short for a head, or none.
        assert!(statuses == [400] || statuses == [400, 400], "{less}: {statuses:?}");
    }
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_the_body_comes() {
    let (site, mut caller) = site().await;
    for length in ["10001", "9223372036854775807"] {
        let headers = format!("content-length: {length}\r\n");
        assert_eq!(statuses(&site, &headers, b"", false).await, [413], "{length}");
    }
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn a_length_that_is_none_is_refused_by_hyper() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    let length = body.len();
    for headers in [
        "content-length: -1\r\n".to_owned(),
        "content-length: many\r\n".to_owned(),
        "content-length: 184467440737095516150\r\n".to_owned(),
        format!("content-length: {length}\r\ncontent-length: {}\r\n", length - 1),
    ] {
        assert_eq!(
            statuses(&site, &headers, body.as_bytes(), false).await,
            [400],
            "{headers}"
        );
    }
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn chunks_that_lie_are_refused() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    let length = body.len();
    let chunked = "transfer-encoding: chunked\r\n";
    for (chunks, expected) in [
        (format!("{:x}\r\n{body}\r\n0\r\n\r\n", length + 5), 408),
        (format!("{length:x}\r\n{body}\r\n"), 408),
        (format!("{:x}\r\n{body}\r\n0\r\n\r\n", length - 5), 400),
        (format!("zz\r\n{body}\r\n0\r\n\r\n"), 400),
        (format!("ffffffffffffffff0\r\n{body}\r\n0\r\n\r\n"), 400),
        (format!("2711\r\n{}", "[".repeat(10_001)), 413),
    ] {
        let statuses = statuses(&site, chunked, chunks.as_bytes(), false).await;
        assert_eq!(statuses.first(), Some(&expected), "{}", &chunks[..20]);
    }
    nothing_happened(&site, &mut caller).await;
}

#[tokio::test]
async fn a_body_without_a_length_is_empty_and_so_no_request() {
    let (site, mut caller) = site().await;
    let body = publish(&caller);
    let statuses = statuses(&site, "", body.as_bytes(), false).await;
    assert_eq!(statuses.first(), Some(&400));
    nothing_happened(&site, &mut caller).await;
}
