//! Prints docs/configuration.md, or with the word `commands` docs/cli.md.

#![expect(clippy::print_stdout, reason = "the page is what this program is for")]

use transak_relay::config::document;

fn main() {
    let commands = std::env::args().nth(1).is_some_and(|word| word == "commands");
    print!("{}", if commands { document::commands() } else { document::markdown() });
}
