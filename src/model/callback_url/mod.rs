//! Callback URLs, which strangers write.
//!
//! Guarantees: a [`CallbackUrl`] has a host, no user-info, no fragment, a scheme this installation allows, and is no
//! longer than [`MAX_LENGTH`]; a host that is an address, in whatever spelling, or a name that always means this
//! machine or a cloud's metadata, has passed the [`AddressPolicy`]. `Debug` and `Display` show scheme and host only,
//! for paths and queries hold other people's secrets.
//! Does not guarantee: where a name leads. That is judged each time it is dialled, for it changes.

#[cfg(test)]
pub(crate) mod spellings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use http::uri::PathAndQuery;
use thiserror::Error;
use url::{Host, Position, Url};

use super::address::{AddressPolicy, Refused};

/// Longest callback URL, in bytes, as written and as normalised: what common servers and proxies still accept.
pub const MAX_LENGTH: usize = 2048;

/// What this installation accepts as a callback URL. The default is the strict one: https and public addresses.
#[derive(Debug, Clone, Default)]
pub struct UrlPolicy {
    /// Whether `http:` is accepted beside `https:`.
    pub allow_http: bool,
    /// Which addresses a host may be.
    pub addresses: AddressPolicy,
}

/// A URL the relay may send callbacks to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CallbackUrl(Url);

/// Why a text is not a callback URL. Each says what to do, none repeats the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidCallbackUrl {
    /// Longer than [`MAX_LENGTH`].
    #[error("must be at most {MAX_LENGTH} bytes long, percent-encoding included")]
    TooLong,
    /// Parsers disagree on these, and what is checked must be what is dialled.
    #[error("must not hold spaces, control characters or backslashes: percent-encode them")]
    ForbiddenCharacter,
    /// Not a URL with a scheme, `//` and a host.
    #[error("must be a whole URL, like https://example.com/callback")]
    NotAUrl,
    /// Neither https nor an allowed http.
    #[error(
        "must begin with https:// (http:// is for relays whose operator has set RELAY_ALLOW_HTTP_CALLBACKS)"
    )]
    Scheme,
    /// A user or password before the host.
    #[error("must not hold a user or password: send credentials in a header of the endpoint")]
    UserInfo,
    /// A `#` part, which is never sent.
    #[error("must not hold a fragment: leave out the # and what follows")]
    Fragment,
    /// Port 0 cannot be dialled.
    #[error("must not name port 0")]
    Port,
    /// An address, or a name of one, that callbacks may not reach.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl CallbackUrl {
    /// Reads a callback URL and judges what can be judged without looking a name up.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, InvalidCallbackUrl> {
        let url = well_formed(text)?;
        if url.scheme() != "https" && !policy.allow_http {
            return Err(InvalidCallbackUrl::Scheme);
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => policy.addresses.check(ip.into())?,
            Some(Host::Ipv6(ip)) => policy.addresses.check(ip.into())?,
            Some(Host::Domain(name)) => known_name(name).map_or(Ok(()), |ip| policy.addresses.check(ip))?,
            None => return Err(InvalidCallbackUrl::NotAUrl),
        }
        Ok(Self(url))
    }

    /// A URL that was accepted before, as it was stored. Policy is not asked again here: the sender judges every
    /// address it dials by the policy of the day.
    pub fn from_stored(text: &str) -> Result<Self, InvalidCallbackUrl> {
        well_formed(text).map(Self)
    }

    /// The whole URL, to dial and to show to its owner. Never for a log.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The whole URL as text, to store and to show to its owner. Never for a log.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What stands in the request line.
    ///
    /// # Panics
    /// Never: it was read once when the URL was.
    pub fn path_and_query(&self) -> PathAndQuery {
        path_and_query(&self.0).expect("the path was read when the URL was")
    }

    /// Host and port as the `host` header has them: the port only where it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Scheme and host, for logs.
    pub fn redacted(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default()))
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().fmt(f)
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({})", self.redacted())
    }
}

/// Everything about a URL that does not depend on the installation.
fn well_formed(text: &str) -> Result<Url, InvalidCallbackUrl> {
    if text.len() > MAX_LENGTH {
        return Err(InvalidCallbackUrl::TooLong);
    }
    // The parser drops tabs and line breaks and turns a backslash into a slash; another one down the line may not.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(InvalidCallbackUrl::ForbiddenCharacter);
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidCallbackUrl::NotAUrl)?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(InvalidCallbackUrl::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(InvalidCallbackUrl::NotAUrl);
    }
    if authority.contains('@') {
        return Err(InvalidCallbackUrl::UserInfo);
    }
    let url = Url::parse(text).map_err(|_| InvalidCallbackUrl::NotAUrl)?;
    if url.fragment().is_some() {
        return Err(InvalidCallbackUrl::Fragment);
    }
    if url.port() == Some(0) {
        return Err(InvalidCallbackUrl::Port);
    }
    // A host such as `…` would normalise to `...`: names without a label lead nowhere.
    if url.host_str().is_none_or(|host| host.split('.').all(str::is_empty)) {
        return Err(InvalidCallbackUrl::NotAUrl);
    }
    if url.domain().is_some_and(|name| !name.bytes().all(is_of_a_name)) {
        return Err(InvalidCallbackUrl::NotAUrl);
    }
    // What the URL standard lets through and the request line does not.
    if path_and_query(&url).is_none() {
        return Err(InvalidCallbackUrl::ForbiddenCharacter);
    }
    if url.as_str().len() > MAX_LENGTH { Err(InvalidCallbackUrl::TooLong) } else { Ok(url) }
}

/// What a name that can be looked up is made of. The URL standard also lets `{`, `*` or `'` through.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn path_and_query(url: &Url) -> Option<PathAndQuery> {
    url[Position::BeforePath..Position::AfterQuery].parse().ok()
}

/// The address of a name that means the same on every machine, whatever its resolver says.
///
/// `localhost` and below it is loopback (RFC 6761 §6.3); the rest are the names clouds give their metadata service.
fn known_name(name: &str) -> Option<IpAddr> {
    const LINK_LOCAL_METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
    const METADATA_NAMES: [&str; 6] = [
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.azure.internal",
    ];
    let name = name.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain" {
        Some(Ipv4Addr::LOCALHOST.into())
    } else if METADATA_NAMES.contains(&name) {
        Some(LINK_LOCAL_METADATA)
    } else {
        None
    }
}
