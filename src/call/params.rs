//! What the parameters of a template stand for, as an argument of a handler.

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, Unexpected, Visitor,
        value::{Error, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{Call, CallError, FromCall};

/// What the segments in braces stand for, of a handler that is set for a template: by name for a struct or a map, by
/// position for a tuple, or the one that there is. What does not parse is answered as a failure.
///
/// ```
/// use serde::Deserialize;
/// use tower_bayeux::{
///     BayeuxServer,
///     call::{Data, Params},
/// };
///
/// #[derive(Deserialize)]
/// struct Move {
///     game: u64,
///     player: String,
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/game/{game}/move/{player}", |Params(it): Params<Move>| async move {
///     println!("{} moves in game {}", it.player, it.game);
/// })?;
/// bayeux.service("/game/{game}/chat/{room}", |Params((game, room)): Params<(u64, String)>| async move {
///     Data(format!("{room} of game {game}"))
/// })?;
/// bayeux.service("/game/{game}/leave", |Params(game): Params<u64>| async move { Data(game) })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromCall for Params<T> {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        let parameters: Vec<_> = call.params().map(|(name, text)| (name, Text(text))).collect();
        T::deserialize(Parameters(parameters))
            .map(Self)
            .map_err(|error| CallError::new(format_args!("the channel's parameters do not fit: {error}")))
    }
}

/// All parameters: a map, a sequence, or the one value that there is.
struct Parameters<'a>(Vec<(&'a str, Text<'a>)>);

impl<'a> Parameters<'a> {
    fn only(&self) -> Result<Text<'a>, Error> {
        match *self.0 {
            [(_, text)] => Ok(text),
            _ => Err(Error::custom(format_args!("{} where one is expected", self.0.len()))),
        }
    }
}

/// These take the only value.
macro_rules! only {
    ($($deserialize:ident)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$deserialize(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Parameters<'de> {
    type Error = Error;

    only! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_option
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(self.0.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut values = SeqDeserializer::new(self.0.into_iter().map(|(_, text)| text));
        let value = visitor.visit_seq(&mut values)?;
        values.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct identifier ignored_any }
}

/// One parameter, which is text until something else is asked for.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

/// These are parsed as Rust writes them.
macro_rules! parsed {
    ($($deserialize:ident $visit:ident)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Error::invalid_value(Unexpected::Str(self.0), &visitor)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
