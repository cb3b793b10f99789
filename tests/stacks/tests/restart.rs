//! A server that ends without a goodbye, and another in its place that knows nobody.

mod support;

use std::time::Duration;

use support::{Caller, End, Fate, Proxy, Site, nothing_left, soon, until};
use tower_bayeux::{BayeuxBuilder, BayeuxServer};

const CLIENTS: u64 = 20;

fn builder() -> BayeuxBuilder {
    BayeuxServer::builder()
        .timeout(Duration::from_secs(3600))
        .max_interval(Duration::from_secs(3600))
}

/// Polls until it has had its second session, and a number in it.
async fn comes_back(mut caller: Caller) -> Caller {
    while caller.sessions < 2 || caller.numbers.is_empty() {
        if !caller.poll().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    caller
}

#[tokio::test]
async fn every_client_is_told_to_handshake_again_and_gets_what_is_published_from_then_on() {
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let caller = Caller::start(proxy.address, number % 2 == 0).await;
        clients.push(tokio::spawn(comes_back(caller)));
    }
    until(&site.server, |stats| stats.held_connects == CLIENTS).await;

    let mut events = site.server.events();
    site.crash().await;
    soon(async { while events.recv().await.is_some() {} }).await;

    let site = Site::open(builder()).await;
    proxy.redirect(site.address);
    until(&site.server, |stats| stats.held_connects == CLIENTS).await;
    let unknown = tower_bayeux::Reason::UnknownSession;
    let ended = site.server.stats().connects_ended;
    assert_eq!(ended.count(unknown), CLIENTS, "each was told once");
    site.server.publish("/a", &1).unwrap();
    for client in clients {
        let mut caller = soon(client).await.unwrap();
        assert_eq!((&*caller.numbers, caller.sessions), (&[1][..], 2));
        caller.leave().await;
    }
    nothing_left(&site.server).await;
}

#[tokio::test]
async fn a_client_whose_server_ends_in_the_middle_of_an_answer_comes_back_too() {
    for byte in (0..300).step_by(23) {
        let site = Site::open(builder()).await;
        let proxy = Proxy::open(site.address).await;
        let mut caller = Caller::start(site.address, true).await;
        caller.go_by(proxy.address);
        proxy.plan(move || Fate {
            down: Some((byte, End::Stall)),
            ..Fate::default()
        });
        let client = tokio::spawn(async move {
            caller.patience = Duration::from_millis(20);
            comes_back(caller).await
        });
        site.server.publish("/a", &"not a number").unwrap();
        until(&site.server, |stats| stats.delivered_messages > 0).await;
        site.crash().await;

        let site = Site::open(builder()).await;
        proxy.redirect(site.address);
        proxy.plan(Fate::default);
        while !client.is_finished() {
            site.server.publish("/a", &1).unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let caller = client.await.unwrap();
        assert_eq!(caller.sessions, 2);
    }
}
