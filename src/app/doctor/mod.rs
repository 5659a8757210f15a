//! `transak-relay doctor`: whether an installation has what it needs, one line for each thing, read with the settings of
//! `serve`.
//!
//! Guarantees: nothing is changed, in the database, on disk (a probe file is made and removed) or at Transak; every wait
//! has an end; no line holds a secret or a whole callback URL.
//! Does not guarantee that what is well now stays so: `/readyz` and the metrics watch a relay that runs.

mod database;
mod machine;
mod outside;
mod report;

use std::io::Write;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::PgPool;

use self::report::{Line, Report};
use crate::config::Serve;
use crate::model::seal::MasterKey;
use crate::store::pool;

/// How long the database has for all its questions together.
const DATABASE: Duration = Duration::from_secs(30);

/// The connections that are used.
const CONNECTIONS: u32 = 2;

/// An installation that is looked at.
struct Patient<'a> {
    config: &'a Serve,
    key: MasterKey,
    pool: PgPool,
}

/// Looks at everything and writes what it finds.
///
/// # Errors
/// Something does not hold that has to, after it was written.
pub(super) async fn run(config: &Serve, output: &mut impl Write) -> anyhow::Result<()> {
    let mut report = Report::new(output);
    report.say(machine::files())?;
    report.say(machine::spool(&config.spool.spool_dir).await)?;
    match config.keys() {
        Err(error) => report.say(Line::fail("master key", error.to_string()))?,
        Ok(key) => look_inside(config, key, &mut report).await?,
    }
    report.end()
}

/// What can be seen only through the database.
async fn look_inside(config: &Serve, key: MasterKey, report: &mut Report<impl Write>) -> anyhow::Result<()> {
    let url = config.database.database_url.expose_secret();
    let pool = match tokio::time::timeout(DATABASE, pool::connect(url, CONNECTIONS)).await {
        Ok(Ok(pool)) => pool,
        Ok(Err(error)) => return report.say(Line::fail("database", format!("{error:#}"))),
        Err(_) => return report.say(Line::fail("database", "it does not answer: check DATABASE_URL")),
    };
    let patient = Patient { config, key, pool };
    let looked = tokio::time::timeout(DATABASE, database::look(&patient, report)).await;
    let Ok(looked) = looked else {
        return report.say(Line::fail("database", "it stopped to answer while it was looked at"));
    };
    let partners = match looked {
        Ok(Some(partners)) => partners,
        Ok(None) => return Ok(()),
        Err(error) => return database::broken(error, report),
    };
    match outside::look(&patient, &partners, report).await {
        Ok(()) => Ok(()),
        Err(error) => database::broken(error, report),
    }
}
