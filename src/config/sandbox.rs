//! What `dev` and its parts are told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use url::Url;

use super::address;

#[derive(Debug, Args)]
pub struct Dev {
    #[command(subcommand)]
    pub only: Option<DevOnly>,
    /// Where the database is kept between runs: by default /var/lib/transak-relay for root, else
    /// ~/.local/share/transak-relay.
    #[arg(long, env = "RELAY_DEV_DIR", value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// The home folder that default is in.
    #[arg(long, env = "HOME", hide = true)]
    pub home: Option<PathBuf>,
    /// Where the relay listens.
    #[arg(long, env = "RELAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub enum DevOnly {
    /// Only the simulated Transak: a Pusher server that plays orders, and the REST API.
    Upstream {
        /// Where the Pusher server listens.
        #[arg(long, env = "SANDBOX_PUSHER_LISTEN", default_value = "127.0.0.1:6001")]
        pusher_listen: SocketAddr,
        /// Where the REST API listens.
        #[arg(long, env = "SANDBOX_REST_LISTEN", default_value = "127.0.0.1:6002")]
        rest_listen: SocketAddr,
        /// Where `trigger` asks for orders.
        #[arg(long, env = "SANDBOX_CONTROL_LISTEN", default_value = "127.0.0.1:6004")]
        control_listen: SocketAddr,
        /// The API key whose orders are played.
        #[arg(long, env = "TRANSAK_API_KEY")]
        api_key: String,
        /// What they are signed with.
        #[arg(long, env = "TRANSAK_ACCESS_TOKEN", hide_env_values = true)]
        access_token: SecretString,
    },
    /// Only the callback receiver; it registers itself at a relay.
    Receiver {
        /// Where it listens.
        #[arg(long, env = "SANDBOX_RECEIVER_LISTEN", default_value = "127.0.0.1:6003")]
        listen: SocketAddr,
        /// Under which URL the relay reaches it.
        #[arg(long, env = "SANDBOX_RECEIVER_URL", default_value = "http://127.0.0.1:6003/callback", value_parser = address::web)]
        url: Url,
        /// The relay.
        #[arg(long, env = "RELAY_URL", default_value = "http://127.0.0.1:8080", value_parser = address::web)]
        relay_url: Url,
        /// A token that may register endpoints.
        #[arg(long, env = "RELAY_ADMIN_TOKEN", hide_env_values = true)]
        token: SecretString,
    },
}

#[derive(Debug, Args)]
pub struct Trigger {
    /// The event that the order is played up to, such as `ORDER_COMPLETED`.
    pub event: String,
    /// What kind of order: BUY, SELL or NFT.
    #[arg(long, default_value = "BUY")]
    pub product: String,
    /// Where the simulated Transak is asked; left out: where the `dev` of this machine says, or `http://127.0.0.1:6004`.
    #[arg(long, value_name = "URL", value_parser = address::web)]
    pub sandbox_url: Option<Url>,
    /// The folder of that `dev`.
    #[arg(long, env = "RELAY_DEV_DIR", value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// The home folder that its default is in.
    #[arg(long, env = "HOME", hide = true)]
    pub home: Option<PathBuf>,
    /// Print JSON, as the sandbox answered, for machines.
    #[arg(long)]
    pub json: bool,
}
