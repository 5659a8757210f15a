//! The binary: read the command line, run, and say in one line what went wrong.

use std::process::ExitCode;

use transak_relay::{app, config::Cli};

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::read() {
        Ok(cli) => app::run(cli).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a process that could not run")]
            {
                eprintln!("transak-relay: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
