//! Each mode, small, against a real server.

use std::net::SocketAddr;

use bayeux_load::{Options, Report, run};
use clap::Parser;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpListener, task::LocalSet};
use tower_bayeux::{BayeuxServer, BayeuxService};

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(BayeuxService::new("/cometd", BayeuxServer::new()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
        }
    });
    address
}

async fn measure(arguments: &str) -> Report {
    LocalSet::new()
        .run_until(async {
            let address = serve().await;
            let line = format!(
                "bayeux-load --url http://{address}/cometd --duration 0.3 --warmup 0.05 --deadline 30 --server-pid {} {arguments}",
                std::process::id()
            );
            let report = run(&Options::parse_from(line.split(' '))).await.unwrap();
            assert!(report.is_clean(), "{report}");
            report
        })
        .await
}

#[tokio::test]
async fn fanout_reaches_every_subscriber() {
    let report = measure("--messages 20 fanout --subscribers 7").await;
    assert_eq!((report.operations, report.deliveries), (20, 140));
    assert!(report.latency_us.p50 > 0);
    assert!(report.server.unwrap().rss_ready > 0);
}

#[tokio::test]
async fn a_tool_that_spins_measures_the_same_and_says_so() {
    let report = measure("--spin --messages 20 fanout --subscribers 7").await;
    assert_eq!((report.operations, report.deliveries), (20, 140));
    assert!(report.to_string().contains("never asleep"), "{report}");
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let report = measure("fanout --subscribers 2 --rate 100").await;
    assert_eq!((report.operations, report.planned), (30, Some(30)), "{report}");
    assert!(report.to_string().contains("30 operations of 30"), "{report}");
}

#[tokio::test]
async fn a_flood_waits_for_no_subscriber() {
    let report = measure("--messages 50 fanout --subscribers 3 --flood").await;
    assert_eq!(report.deliveries, 150);
}

#[tokio::test]
async fn rooms_reach_their_members_only() {
    let report = measure("--messages 30 rooms --clients 6 --rooms 3 --publishers 2 --in-flight 2").await;
    assert_eq!((report.operations, report.deliveries), (30, 60));
}

#[tokio::test]
async fn idle_sessions_all_get_the_message_whatever_address_they_come_from() {
    let report = measure("--sources 3 idle --sessions 30").await;
    assert_eq!((report.operations, report.deliveries), (1, 30));
}

/// With ports that nobody can use for a minute, the next run would not have enough.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_leaves_no_port_in_use() {
    for mode in [
        "--sources 3 idle --sessions 30",
        "--messages 5 handshake",
        "rooms --clients 9",
    ] {
        let address = LocalSet::new()
            .run_until(async {
                let address = serve().await;
                let line = format!("bayeux-load --url http://{address}/cometd --duration 0.1 --warmup 0 {mode}");
                run(&Options::parse_from(line.split(' '))).await.unwrap();
                address
            })
            .await;
        // Its tasks are gone with the set. A connection that is closed, but not forgotten, is still listed.
        let server = format!(":{:04X}", address.port());
        let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let to_it = |line: &&str| line.split_ascii_whitespace().nth(2).unwrap().ends_with(&server);
        let left = connections.lines().skip(1).filter(to_it);
        assert_eq!(left.count(), 0, "{mode}");
    }
}

#[tokio::test]
async fn handshakes_go_round() {
    let report = measure("--messages 25 handshake --clients 3").await;
    assert_eq!(report.operations, 25);
}

#[tokio::test]
async fn connects_go_round() {
    let report = measure("--messages 25 connect --clients 3").await;
    assert_eq!(report.operations, 25);
}

#[tokio::test]
async fn a_chat_is_sent_in_batches() {
    let report = measure("chat --clients 10 --rooms 5 --rooms-per-client 2 --batches 10 --batch-pause 2000").await;
    assert_eq!(report.operations, 100);
    assert!(report.deliveries > 100, "{report}");
}

#[tokio::test]
async fn other_machines_are_not_for_load() {
    let options = Options::parse_from(["bayeux-load", "--url", "http://192.0.2.1:9/", "idle"]);
    let error = LocalSet::new().run_until(run(&options)).await.unwrap_err();
    assert!(error.to_string().contains("--allow-remote"), "{error}");
}

#[tokio::test]
async fn the_report_is_json_too() {
    let report = measure("--messages 5 fanout --subscribers 2").await;
    let json: serde_json::Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["deliveries"], 10);
    assert_eq!(json["checks"]["lost"], 0);
    assert!(json["server"]["cpu_us"].is_u64());
}

#[tokio::test]
async fn a_process_that_is_not_there_is_not_measured_as_idle() {
    let pid = u32::MAX;
    let options = format!("bayeux-load --url http://127.0.0.1:9/ --server-pid {pid} idle");
    let error = LocalSet::new()
        .run_until(run(&Options::parse_from(options.split(' '))))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("4294967295 uses can't be seen"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_ends_while_it_is_measured_is_an_error() {
    let mut process = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = process.id();
    let report = LocalSet::new()
        .run_until(async {
            let address = serve().await;
            let line = format!(
                "bayeux-load --url http://{address}/cometd --duration 0.5 --warmup 0 --server-pid {pid} fanout --subscribers 2"
            );
            let options = Options::parse_from(line.split(' '));
            let end = async {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                process.kill().unwrap();
                process.wait().unwrap();
            };
            tokio::join!(run(&options), end).0.unwrap()
        })
        .await;
    assert!(report.operations > 0 && report.server.is_none(), "{report}");
    assert_eq!(report.checks.errors, 1);
    assert!(report.checks.first_error.unwrap().contains("can't be seen"));
}

#[tokio::test]
async fn a_report_for_a_program_has_standard_output_to_itself() {
    let address = serve().await;
    let mut tool = tokio::process::Command::new(env!("CARGO_BIN_EXE_bayeux-load"));
    tool.args(["--url", &format!("http://{address}/cometd"), "--json", "-"]);
    tool.args(["--warmup", "0", "--messages", "5", "fanout", "--subscribers", "2"]);
    let output = tool.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["deliveries"], 10);
    assert!(String::from_utf8_lossy(&output.stderr).contains("fanout to 2"));
}
