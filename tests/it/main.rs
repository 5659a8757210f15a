//! The relay from outside, on a real database for each test.
#![expect(clippy::unwrap_used, reason = "clippy does not know that helpers of tests are in tests")]

mod api;
mod api_bad_input;
mod api_endpoints;
mod api_orders;
mod api_pages;
mod api_requests;
mod api_tenants;
mod api_webhooks;
mod openapi;
