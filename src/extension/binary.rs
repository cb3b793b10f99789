//! The binary extension.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{Extension, Fate, Incoming, IncomingContext, OutgoingContext};
use crate::protocol::{DataError, MutableMessage, z85};

const NAME: &str = "binary";

/// Lets clients and the application send bytes: CometD's `BinaryExtension`, for the extension of that name in cometd.js and
/// its `publishBinary` and `remoteCallBinary`.
///
/// The application reads and writes [`BinaryData`] where it reads and writes data otherwise. What it publishes, delivers or
/// answers as such is marked as binary, and so is what a client has published as such. A message that claims to be binary
/// and is not is answered with `400::binary_invalid`.
///
/// ```
/// use tower_bayeux::{
///     BayeuxServer,
///     call::Data,
///     extension::{Binary, BinaryData},
/// };
///
/// async fn reverse(Data(mut image): Data<BinaryData>) -> Data<BinaryData> {
///     image.bytes.reverse();
///     Data(image)
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.add_extension(Binary);
/// bayeux.service("/service/reverse", reverse)?;
/// bayeux.publish("/thumbnail", &BinaryData::new(*b"\x89PNG"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Binary;

impl Extension for Binary {
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        if message.is_meta() || !message.has_ext(NAME) || message.data::<BinaryData>().is_ok() {
            return Incoming::Pass;
        }
        Incoming::error("400::binary_invalid")
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        let is_binary = match context.incoming() {
            // A client says what it publishes.
            Some(incoming) if context.session().is_none() => incoming.has_ext(NAME),
            _ => message.data::<BinaryData>().is_ok(),
        };
        if is_binary && !message.is_meta() {
            // An empty object can always be written.
            let _ = message.set_ext(NAME, &serde_json::Map::new());
        }
        Fate::Pass
    }
}

/// Bytes as the `data` of a message, for [`Binary`]. A large whole may be sent in parts: then all but the last one say so.
#[derive(Clone, Debug)]
pub struct BinaryData {
    /// The bytes: Z85 on the wire, four bytes as five characters.
    pub bytes: Vec<u8>,
    /// Whether these are the last of their whole.
    pub last: bool,
    meta: Option<Box<RawValue>>,
}

impl BinaryData {
    /// A whole.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            last: true,
            meta: None,
        }
    }

    /// Whether these are the last bytes of their whole.
    #[must_use]
    pub fn last(mut self, last: bool) -> Self {
        self.last = last;
        self
    }

    /// Says something about the bytes: a name, a type, …
    ///
    /// # Errors
    ///
    /// [`DataError`] if it can't be written as JSON.
    pub fn with_meta<T: Serialize + ?Sized>(mut self, meta: &T) -> Result<Self, DataError> {
        self.meta = Some(to_raw_value(meta).map_err(DataError::unwritable)?);
        Ok(self)
    }

    /// What is said about the bytes; nothing counts as `null`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn meta<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.meta.as_deref().map_or("null", RawValue::get))
    }
}

/// As it goes over the wire. Nothing else may be in it, for the application's messages are told by their shape.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    data: String,
    last: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Box<RawValue>>,
}

impl Serialize for BinaryData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded = Encoded {
            data: z85::encode(&self.bytes),
            last: self.last,
            meta: self.meta.clone(),
        };
        encoded.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BinaryData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { data, last, meta } = Encoded::deserialize(deserializer)?;
        let bytes = z85::decode(&data).ok_or_else(|| de::Error::custom("no Z85 text"))?;
        Ok(Self { bytes, last, meta })
    }
}
