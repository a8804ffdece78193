//! Decoding path parameters into a type: one value, a tuple in the order of the pattern, a struct or map by name.
//!
//! A value that does not fit is the client's fault (400). A type that does not fit the pattern, such as a field
//! without a parameter, is the application's (500).

use core::fmt::{self, Display};
use std::borrow::Cow;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::percent::decode_path;
use crate::app::context::Context;
use crate::error::{Error, Result, bad_request};

impl Context {
    /// Decodes the path parameters into a `T`: one value, a tuple in the order of the pattern, or a struct by name.
    ///
    /// ```
    /// # use squall::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct Page {
    ///     book: String,
    ///     number: u32,
    /// }
    ///
    /// async fn page(cx: &mut Context) -> Result<String> {
    ///     let page: Page = cx.params_as()?;
    ///     let (book, number): (String, u32) = cx.params_as()?;
    ///     assert_eq!((page.book, page.number), (book, number));
    ///     Ok(format!("page {number}"))
    /// }
    ///
    /// let application = Application::new().get("/{book}/{number}", page);
    /// ```
    ///
    /// # Errors
    ///
    /// 400, naming the parameter, if a value is badly encoded or does not parse; 500 if `T` does not fit the
    /// parameters of the route.
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T> {
        let pattern = self.route.and_then(|index| self.shared.pattern(index));
        let names = pattern.into_iter().flat_map(|pattern| pattern.parameters());
        let path = self.head.path();
        let values = names.zip(&self.params).map(|(parameter, span)| Value {
            name: &parameter.name,
            encoded: span.of(path),
        });
        T::deserialize(Params(values.collect())).map_err(|error| match error {
            ParamsError::Value(message) => bad_request(message),
            ParamsError::Unnamed(message) => bad_request(format!("could not decode the path: {message}")),
            ParamsError::Type(message) => {
                let route = pattern.map_or("a request without a route", |pattern| pattern.text());
                Error::new(format!("could not decode the path parameters of `{route}`: {message}"))
            }
        })
    }
}

/// Why path parameters could not be decoded.
#[derive(Debug)]
enum ParamsError {
    /// A value does not fit; the message names its parameter.
    Value(String),
    /// A value does not fit; the message has no name yet.
    Unnamed(String),
    /// The type does not fit the pattern.
    Type(String),
}

/// The parameters of a route, in the order of its pattern.
struct Params<'c>(Vec<Value<'c>>);

/// One parameter.
#[derive(Clone, Copy)]
struct Value<'c> {
    name: &'c str,
    encoded: &'c str,
}

impl<'c> Params<'c> {
    fn single(&self) -> Result<Value<'c>, ParamsError> {
        match *self.0 {
            [value] => Ok(value),
            _ => Err(self.misfit("one value")),
        }
    }

    fn misfit(&self, wanted: impl Display) -> ParamsError {
        ParamsError::Type(format!(
            "the handler takes {wanted}, and the pattern has {}",
            self.0.len()
        ))
    }
}

/// Forwards to the value, if there is one.
macro_rules! single {
    ($($deserialize:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
            self.single()?.$deserialize(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Params<'de> {
    type Error = ParamsError;

    single! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_option deserialize_identifier
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_seq(SeqDeserializer::new(self.0.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ParamsError> {
        if length != self.0.len() {
            return Err(self.misfit(format_args!("a tuple of {length}")));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_map(MapDeserializer::new(
            self.0.into_iter().map(|value| (value.name, value)),
        ))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { ignored_any }
}

impl<'c> Value<'c> {
    fn text(self) -> Result<Cow<'c, str>, ParamsError> {
        decode_path(self.encoded).map_err(|error| {
            let name = self.name;
            ParamsError::Value(format!("the path parameter `{name}` is malformed: {error}"))
        })
    }

    fn misfit(self) -> ParamsError {
        ParamsError::Type(format!(
            "the parameter `{}` is one value, and the type has several",
            self.name
        ))
    }

    /// Names the parameter in an error of the decoded type.
    fn named<T>(self, result: Result<T, ParamsError>) -> Result<T, ParamsError> {
        result.map_err(|error| match error {
            ParamsError::Unnamed(message) => {
                let name = self.name;
                ParamsError::Value(format!("the path parameter `{name}` is invalid: {message}"))
            }
            error => error,
        })
    }
}

/// Parses the value. The error names the parameter and the type, and does not repeat the client's value.
macro_rules! parse {
    ($($deserialize:ident $visit:ident $type:ident;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
            let value = self.text()?.parse().map_err(|_| {
                let name = self.name;
                let expected = stringify!($type);
                ParamsError::Value(format!("the path parameter `{name}` is not a valid {expected}"))
            })?;
            self.named(visitor.$visit(value))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = ParamsError;

    parse! {
        deserialize_bool visit_bool bool;
        deserialize_char visit_char char;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        let value = match self.text()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        };
        self.named(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        self.named(visitor.visit_newtype_struct(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamsError> {
        let text: Cow<'de, str> = self.text()?;
        self.named(visitor.visit_enum(text.into_deserializer()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamsError> {
        visitor.visit_unit()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ParamsError> {
        Err(self.misfit())
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ParamsError> {
        Err(self.misfit())
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, _: V) -> Result<V::Value, ParamsError> {
        Err(self.misfit())
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        _: V,
    ) -> Result<V::Value, ParamsError> {
        Err(self.misfit())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ParamsError> {
        Err(self.misfit())
    }

    forward_to_deserialize_any! { str string bytes byte_buf unit unit_struct identifier }
}

impl<'de> IntoDeserializer<'de, ParamsError> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Display for ParamsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Value(message) | Self::Unnamed(message) | Self::Type(message)) = self;
        formatter.write_str(message)
    }
}

impl core::error::Error for ParamsError {}

impl serde::de::Error for ParamsError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unnamed(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Type(format!("the pattern has no parameter `{field}`"))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Type(format!("the type has no field `{field}`"))
    }

    fn invalid_length(length: usize, expected: &dyn serde::de::Expected) -> Self {
        Self::Type(format!("the handler takes {expected}, and the pattern has {length}"))
    }
}
