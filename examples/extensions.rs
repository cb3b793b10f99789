//! A photo wall: extensions, a listener and a filter at work.
//!
//! What it shows:
//!
//! - CometD's timesync, timestamp, binary and activity extensions, for the extensions of these names in cometd.js. A client
//!   that publishes bytes on `/photo` or calls `/service/invert` with some needs nothing else.
//! - An extension of the application's own: each message of a client has to bring the name of its language in `ext`, once;
//!   the server remembers it, and puts it into what that client publishes.
//! - A listener that deletes photos that are too large, and a filter that makes captions harmless.
//!
//! ```text
//! cargo run --example extensions
//! ```
//!
//! | variable | what | default |
//! |---|---|---|
//! | `PORT` | the port on 127.0.0.1; 0 picks a free one | 8088 |
//!
//! What to try:
//!
//! ```text
//! URL=http://127.0.0.1:8088
//! post() { curl -s "$URL/cometd" -H 'content-type: application/json' -d "$1"; echo; }
//!
//! post '[{"channel":"/meta/handshake","version":"1.0"}]'
//! # [{"channel":"/meta/handshake","successful":false,"error":"400::ext_language_missing","advice":{...},"timestamp":...}]
//!
//! post '[{"channel":"/meta/handshake","version":"1.0","ext":{"language":"en","timesync":{"tc":1790000000000,"l":0,"o":0}}}]'
//! # [{...,"successful":true,"clientId":"...","ext":{"timesync":{"tc":1790000000000,"ts":...,"p":0,"a":...}},...}]
//! ID=... # the clientId of that answer
//!
//! post '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":["/photo","/caption"]}]'
//! post '[{"channel":"/caption","clientId":"'$ID'","data":"<b>Tom</b>"}]'
//! post '[{"channel":"/photo","clientId":"'$ID'","data":{"data":"HelloWorld","last":true},"ext":{"binary":{}}}]'
//! post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]'
//! # [{"channel":"/caption","data":"&lt;b&gt;Tom&lt;/b&gt;","language":"en","timestamp":...},
//! #  {"channel":"/photo","data":{"data":"HelloWorld","last":true},"ext":{"binary":{}},"language":"en","timestamp":...},
//! #  {"channel":"/meta/connect","successful":true,...}]
//! ```

mod shutdown;

use std::{env, error::Error, net::Ipv4Addr, time::Duration};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_bayeux::{
    BayeuxLayer, BayeuxServer, MutableMessage, ServerSession,
    call::Data,
    extension::{
        Activity, Binary, BinaryData, Extension, Fate, Incoming, IncomingContext, OutgoingContext, Timestamp, Timesync,
    },
    listener::{DataFilter, MessageContext},
};

const LARGEST_PHOTO: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::new();
    bayeux.add_extension(Timesync::new());
    bayeux.add_extension(Timestamp);
    bayeux.add_extension(Binary);
    bayeux.add_extension(Activity::of_client(Duration::from_secs(3600)));
    bayeux.add_extension(Languages);
    bayeux.on_message("/photo", no_large_photos)?;
    bayeux.on_message("/caption", DataFilter::no_markup())?;
    bayeux.service("/service/invert", invert)?;

    let app = Router::new()
        .route("/", get(|| async { "Bayeux is spoken at /cometd\n" }))
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()));
    let port = env::var("PORT").map_or(Ok(8088), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            bayeux.shutdown();
        })
        .await?;
    Ok(())
}

/// Knows which language each session speaks.
struct Languages;

struct Language(String);

impl Extension for Languages {
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        let is_handshake = message.channel().as_deref() == Some("/meta/handshake");
        if is_handshake && !message.has_ext("language") {
            return Incoming::error("400::ext_language_missing");
        }
        Incoming::Pass
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        // The reply to a handshake is the first that the new session gets.
        let spoken = context
            .incoming()
            .and_then(|incoming| incoming.ext("language").ok().flatten());
        if let (Some(session), Some(language)) = (context.session(), spoken) {
            session.insert_attribute(Language(language));
        }
        // What somebody has published, on its way to all subscribers.
        if let Some(language) = context.sender().and_then(ServerSession::attribute::<Language>) {
            let _ = message.set_field("language", &language.0);
        }
        Fate::Pass
    }
}

fn no_large_photos(message: &mut MutableMessage, _: &MessageContext<'_>) -> Fate {
    match message.data::<BinaryData>() {
        Ok(photo) if photo.bytes.len() <= LARGEST_PHOTO => Fate::Pass,
        _ => Fate::Delete,
    }
}

async fn invert(Data(mut photo): Data<BinaryData>) -> Data<BinaryData> {
    for byte in &mut photo.bytes {
        *byte = !*byte;
    }
    Data(photo)
}
