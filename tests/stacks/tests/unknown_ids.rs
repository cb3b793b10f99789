//! What it costs to be asked for sessions that do not exist: the same each time, and nothing that stays.

#[path = "../../common/mod.rs"]
mod common;

use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use common::{Client, post};
use http_body::Body;
use tower_bayeux::BayeuxServer;

/// Asks once, and counts what is allocated from the making of the request to the end of the response.
fn ask(server: &BayeuxServer, id: u64) -> AllocationInfo {
    measure(|| {
        let body = format!(r#"[{{"channel":"/a","clientId":"{id:040x}","id":"1","data":1}}]"#);
        let request = post(Bytes::from(body));
        let mut answer = common::start(server, request);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(response) = answer.as_mut().poll(&mut cx) else {
            panic!("it is answered at once");
        };
        let mut body = std::pin::pin!(response.into_body());
        let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut cx) else {
            panic!("the answer is there");
        };
        let text = frame.into_data().unwrap();
        assert!(text.windows(3).any(|bytes| bytes == b"402"), "{text:?}");
    })
}

#[test]
fn the_ten_thousandth_unknown_id_costs_what_the_first_did_and_leaves_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let server = BayeuxServer::builder()
        .refusal_rate(tower_bayeux::MessageRate::per_second(u32::MAX))
        .build();
    runtime.block_on(Client::connected(&server));
    // Whatever is allocated once and for all.
    ask(&server, 0);
    let first = ask(&server, 1);
    for id in 2..10_000 {
        let asked = ask(&server, id);
        assert_eq!(asked.count_total, first.count_total, "{id}");
        assert_eq!(asked.bytes_current, 0, "{id}: something stays");
    }
    assert_eq!(server.session_count(), 1);
}
