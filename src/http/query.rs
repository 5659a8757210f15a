//! Reading the query of a URL, so that what is wrong is said of the parameter it is wrong in.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::value::{self, MapDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use url::form_urlencoded;

use super::body::field_error;
use super::problem::Problem;

/// The parameters of a query.
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    pub fn parse(query: &'a str) -> Self {
        let mut params: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        params.sort();
        Self(params)
    }

    /// Takes one parameter out.
    pub fn take(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        let found = self.0.iter().position(|(key, _)| key == name).map(|at| self.0.remove(at).1);
        if self.0.iter().any(|(key, _)| key == name) {
            return Err(Problem::parameter(name, "must be given once"));
        }
        Ok(found)
    }

    /// The same text for the same filters in any order.
    pub fn canonical(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// What is left must be filters.
    pub fn into_filter<F: DeserializeOwned>(self) -> Result<F, Problem> {
        let pairs = self.0.into_iter().map(|(name, text)| (name, Part(text)));
        let filter = MapDeserializer::<_, value::Error>::new(pairs);
        serde_path_to_error::deserialize(filter).map_err(|error| {
            let (path, what) = (error.path().to_string(), error.into_inner().to_string());
            let errors = vec![field_error(&path, &what)];
            // Well written, but none of the values there are.
            let is_unknown = what.starts_with("unknown variant");
            if is_unknown { Problem::Validation(errors) } else { Problem::InvalidParameter(errors) }
        })
    }
}

/// The filters of an operation that is no list.
#[derive(Debug, Clone, Copy)]
pub struct Filters<F>(pub F);

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Filters<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut params = Params::parse(parts.uri.query().unwrap_or_default());
        // Read by `auth`.
        params.take("partnerId")?;
        params.into_filter().map(Self)
    }
}

/// The text of one parameter: present, so an optional value is there.
struct Part<'a>(Cow<'a, str>);

impl<'de> IntoDeserializer<'de> for Part<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Part<'de> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        self.0.into_deserializer().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
