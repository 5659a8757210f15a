//! The headers a partner adds to its callbacks: plain names and secret values.
//!
//! Guarantees: [`CallbackHeaders`] can neither break the request apart (no control characters, no names that frame,
//! route or describe the message) nor speak in the relay's own name (signature, trace and loop headers), nor carry what
//! opens a cloud's metadata service. Values are marked sensitive and no `Debug` shows them.
//! Does not guarantee: that the receiver understands them.

#[cfg(test)]
mod tests;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

/// Most headers an endpoint may add.
pub const MAX_COUNT: usize = 20;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest value, in bytes: room for a large bearer token, and half of what common servers accept in all.
pub const MAX_VALUE: usize = 4096;
/// Most bytes of names and values together.
pub const MAX_TOTAL: usize = 8192;

/// Names the relay or the connection speaks for.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "alt-used",
    "connection",
    "date",
    "early-data",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "metadata",
    "metadata-flavor",
    "range",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-google-metadata-request",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];

/// Families of such names. `transak-relay-` holds the relay's own, the hop count among them; method overrides and the
/// tokens of a metadata service would turn a harmless POST into something else.
const RESERVED_PREFIXES: &[&str] = &[
    "access-control-",
    "content-",
    "proxy-",
    "sec-",
    "svix-",
    "transak-relay-",
    "webhook-",
    "x-aws-ec2-metadata-",
    "x-forwarded-",
];

/// Headers that are safe to add to a callback.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallbackHeaders(HeaderMap);

/// Why headers were refused. The name may be shown; the value never is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidCallbackHeaders {
    /// More than [`MAX_COUNT`].
    #[error("must be at most {MAX_COUNT} headers")]
    TooMany,
    /// More than [`MAX_TOTAL`] bytes.
    #[error("must be at most {MAX_TOTAL} bytes in all, names and values together")]
    TooLarge,
    /// Not a token of RFC 9110, or too long. The name is not repeated: it may hold anything.
    #[error("a header name must be 1 to {MAX_NAME} letters, digits or -_.!#$%&'*+^`|~")]
    Name,
    /// The relay or the connection speaks for it.
    #[error("the header {0} is set by the relay or the connection and must be left out")]
    Reserved(HeaderName),
    /// The same name twice, perhaps in another case.
    #[error("the header {0} must be given once")]
    Twice(HeaderName),
    /// Holds what cannot be sent safely.
    #[error(
        "the value of the header {0} must be at most {MAX_VALUE} printable ASCII characters, \
         without a line break and without a space at either end"
    )]
    Value(HeaderName),
}

impl CallbackHeaders {
    /// Checks names and values. No headers at all are fine.
    pub fn parse<'a, I>(headers: I) -> Result<Self, InvalidCallbackHeaders>
    where
        I: IntoIterator<Item = (&'a str, &'a str)>,
    {
        let mut map = HeaderMap::new();
        let mut total = 0;
        for (name, value) in headers {
            total += name.len() + value.len();
            if map.len() == MAX_COUNT {
                return Err(InvalidCallbackHeaders::TooMany);
            }
            if total > MAX_TOTAL {
                return Err(InvalidCallbackHeaders::TooLarge);
            }
            let name = parse_name(name)?;
            let value = parse_value(&name, value)?;
            if map.insert(name.clone(), value).is_some() {
                return Err(InvalidCallbackHeaders::Twice(name));
            }
        }
        Ok(Self(map))
    }

    /// The headers to send, their values marked sensitive.
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }

    /// Names and values, to encrypt and store.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
    }
}

/// Names only.
impl fmt::Debug for CallbackHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(HeaderName::as_str)).finish()
    }
}

fn parse_name(name: &str) -> Result<HeaderName, InvalidCallbackHeaders> {
    if name.len() > MAX_NAME {
        return Err(InvalidCallbackHeaders::Name);
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidCallbackHeaders::Name)?;
    let text = name.as_str();
    // Gateways of the CGI kind read `_` as `-`, so the one must not smuggle in the other.
    let plain = text.replace('_', "-");
    if RESERVED.contains(&plain.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| plain.starts_with(prefix))
    {
        return Err(InvalidCallbackHeaders::Reserved(name));
    }
    Ok(name)
}

fn parse_value(name: &HeaderName, value: &str) -> Result<HeaderValue, InvalidCallbackHeaders> {
    let printable = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !printable || value.len() > MAX_VALUE || value.trim() != value {
        return Err(InvalidCallbackHeaders::Value(name.clone()));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| InvalidCallbackHeaders::Value(name.clone()))?;
    value.set_sensitive(true);
    Ok(value)
}
