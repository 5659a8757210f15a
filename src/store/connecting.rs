//! From the address of a database to its first answer; and if there is none, one sentence that says what to do. It holds
//! neither the password nor the server's own words.

use std::io::ErrorKind;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// Reads `DATABASE_URL`.
///
/// # Errors
/// It is not the URL of a Postgres.
pub fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    let is_postgres = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql");
    let parsed = Url::parse(url).ok().filter(is_postgres).and_then(|_| url.parse().ok());
    let options: PgConnectOptions =
        parsed.context("DATABASE_URL is not a Postgres URL (postgres://user:password@host:port/database)")?;
    // An address of version 6 stands in brackets in a URL, and nowhere else.
    let host = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = host.map(str::to_owned);
    Ok(match host {
        Some(host) => options.host(&host),
        None => options,
    })
}

/// Where a database is, for people.
pub fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None if options.get_host().contains(':') => {
            format!("[{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Why there is no connection, and what to do about it.
pub fn sentence(error: &sqlx::Error, options: &PgConnectOptions) -> String {
    let place = place(options);
    match error {
        sqlx::Error::Database(refusal) => {
            let database = options.get_database().unwrap_or(options.get_username());
            refused(&refusal.code().unwrap_or_default(), database, &place)
        }
        sqlx::Error::Io(error) => {
            let kind = match error.kind() {
                ErrorKind::Other | ErrorKind::InvalidInput => String::new(),
                // Names that are not known have no kind of their own.
                kind if kind.to_string().starts_with("uncategorized") => String::new(),
                kind => format!(" ({kind})"),
            };
            format!("cannot reach Postgres at {place}{kind}: check the host in DATABASE_URL and that it runs")
        }
        sqlx::Error::Tls(_) => format!(
            "Postgres at {place} cannot be spoken to by TLS as DATABASE_URL asks for: check sslmode and sslrootcert"
        ),
        sqlx::Error::PoolTimedOut => {
            format!("nobody answers at {place} as Postgres: check DATABASE_URL and that it runs")
        }
        _ => format!("cannot connect to Postgres at {place}: check DATABASE_URL and that it runs"),
    }
}

/// What a SQLSTATE says of a connection that was refused.
fn refused(code: &str, database: &str, place: &str) -> String {
    match code {
        "3D000" => format!(
            "there is no database {database} at {place}: create it (encoding UTF8), or correct its name in DATABASE_URL"
        ),
        "28P01" | "28000" => {
            format!("Postgres at {place} does not let this user in: check user and password in DATABASE_URL")
        }
        "42501" => {
            format!("this user has no right to connect to the database {database} at {place}: grant it")
        }
        "53300" => format!(
            "Postgres at {place} has no connection left: raise its max_connections, or lower RELAY_DATABASE_CONNECTIONS"
        ),
        "57P03" => format!("Postgres at {place} is starting up or shutting down: try again in a while"),
        _ => format!("Postgres at {place} refuses the connection (SQLSTATE {code}): its log says why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_version_6_is_read_without_its_brackets() {
        let six = options("postgres://u:p@[::1]:5433/relay").unwrap();
        assert_eq!((six.get_host(), six.get_port(), place(&six).as_str()), ("::1", 5433, "[::1]:5433"));
        let name = options("postgresql://u:p@db.internal/relay").unwrap();
        assert_eq!((name.get_host(), place(&name).as_str()), ("db.internal", "db.internal:5432"));
    }

    #[test]
    fn what_is_no_address_of_a_postgres_is_refused_in_one_sentence_without_its_secrets() {
        for url in ["", "relay", "mysql://u:hidden@h/d", "http://u:hidden@h", "postgres://u:hidden@h:port/d"]
        {
            let told = format!("{:#}", options(url).unwrap_err());
            assert!(told.starts_with("DATABASE_URL is not a Postgres URL"), "{url}: {told}");
            assert!(!told.contains("hidden"), "{told}");
        }
    }

    #[test]
    fn each_refusal_is_one_sentence_that_says_what_to_do() {
        let options = options("postgres://u:hidden@h/relay").unwrap();
        let io = |kind: ErrorKind| sqlx::Error::Io(kind.into());
        let said = [
            refused("3D000", "relay", "h:5432"),
            refused("28P01", "relay", "h:5432"),
            refused("53300", "relay", "h:5432"),
            refused("57P03", "relay", "h:5432"),
            refused("XX000", "relay", "h:5432"),
            sentence(&io(ErrorKind::ConnectionRefused), &options),
            sentence(&io(ErrorKind::Other), &options),
            sentence(&sqlx::Error::PoolTimedOut, &options),
            sentence(&sqlx::Error::PoolClosed, &options),
        ];
        for one in said {
            assert!(one.contains("h:5432") && one.contains(": "), "{one}");
            assert!(!one.contains('\n') && !one.contains("hidden"), "{one}");
        }
    }
}
