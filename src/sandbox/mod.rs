//! The world around the relay, for trying it out and for tests: a Postgres of its own, Transak's side (stream and REST)
//! that plays orders, and a partner's callback receiver.
//!
//! Guarantees: it knows the relay only from outside (Pusher frames, REST, webhooks, the public API), so that what works
//! here works because of the interface, not because both sides share code.
//! Does not guarantee that Transak behaves like this in everything: where its documents are silent, each file says what
//! was chosen. It is not for production: its secrets are printed and its orders are invented.

pub mod book;
mod http_server;
pub mod lifecycle;
pub mod postgres;
pub mod pusher;
pub mod receiver;
mod relay_api;
pub mod rest;
mod run;
pub mod signing;
mod tour;
mod upstream;

pub use relay_api::{Registered, RelayApi};
pub use run::{ReceiverSettings, run_receiver};
pub use tour::{Tour, banner};
pub use upstream::{APP_KEY, Pace, SANDBOX_HEADER, Upstream, UpstreamSettings, run_upstream};

/// A total deadline for every call the sandbox makes.
const CALL: std::time::Duration = std::time::Duration::from_secs(10);

/// The client for every call the sandbox makes: with a deadline, and straight to the address it is given.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(CALL).redirect(reqwest::redirect::Policy::none()).no_proxy().build()
}
