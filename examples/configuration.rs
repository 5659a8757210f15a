//! Prints docs/configuration.md.

#![expect(clippy::print_stdout, reason = "the page is what this program is for")]

fn main() {
    print!("{}", transak_relay::config::document::markdown());
}
