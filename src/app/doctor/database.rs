//! What the database says of itself, and of what is in it.

use std::io::Write;

use chrono::Utc;
use secrecy::SecretString;

use super::Patient;
use super::report::{Line, Report};
use crate::model::clock::{self, TOLERATED};
use crate::model::id::PartnerId;
use crate::store::access_token::{self, SealedToken};
use crate::store::installation::{self, Schema, Server};
use crate::store::list::Page;
use crate::store::partner::Partner;
use crate::store::{figures, master_key, partner};

/// A partner, and its newest access token if that could be opened.
pub(super) struct Found {
    pub(super) partner: Partner,
    pub(super) token: Option<SecretString>,
}

/// Looks at the database; answers who the partners are, if they can be read.
pub(super) async fn look(
    patient: &Patient<'_>,
    report: &mut Report<impl Write>,
) -> anyhow::Result<Option<Vec<Found>>> {
    let mut conn = patient.pool.acquire().await?;
    let server = installation::server(&mut conn).await?;
    report.say(judge_server(&server))?;
    report.say(judge_durability(&server))?;
    let asked = Utc::now();
    let theirs = figures::clock(&mut conn).await?;
    let ahead = clock::ahead((asked, Utc::now()), theirs);
    report.say(judge_clock("the database's", ahead))?;
    let schema = installation::schema(&patient.pool).await;
    report.say(judge_schema(schema))?;
    if schema != Schema::Current {
        return Ok(None);
    }
    let fits = master_key::look(&mut conn, &patient.key).await?;
    report.say(judge_key(fits))?;
    let partners = partner::list(&mut conn, &Page { after: None, limit: i64::MAX }).await?;
    let tokens = access_token::recent_of_all(&mut conn).await?;
    let open = |partner: PartnerId, sealed: &SealedToken| {
        patient.key.open_text(&access_token::context(partner), &sealed.token).ok()
    };
    let found = partners.into_iter().map(|partner| {
        // The newest comes first.
        let newest = tokens.iter().find(|token| token.partner_id == partner.partner_id);
        let token = newest.and_then(|sealed| open(partner.partner_id, sealed));
        Found { partner, token }
    });
    Ok(Some(found.collect()))
}

/// Says what the database refused, if it was the database that failed. What it says of its tables names nobody.
pub(super) fn broken(error: anyhow::Error, report: &mut Report<impl Write>) -> anyhow::Result<()> {
    let said = error.chain().find_map(|source| source.downcast_ref::<sqlx::Error>());
    let Some(said) = said else { return Err(error) };
    report.say(Line::fail("database", sentence(said)))
}

fn sentence(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(refusal) = error else {
        return "it stopped to answer while it was looked at: check that it runs, and its log".to_owned();
    };
    let said = refusal.message();
    match refusal.code().as_deref() {
        Some("42P01" | "42703" | "42704" | "42883") => format!(
            "it is not as its migrations left it, {said}: bring back what is missing, from a backup if need be"
        ),
        Some("42501") => format!("the user in DATABASE_URL lacks a right, {said}: grant it"),
        code => {
            format!("it refuses to be looked at (SQLSTATE {}): its log says why", code.unwrap_or("unknown"))
        }
    }
}

fn judge_server(server: &Server) -> Line {
    let said = format!("PostgreSQL {}, {}", server.version, server.encoding);
    match server.encoding.as_str() {
        "UTF8" => Line::ok("database", said),
        _ => Line::fail(
            "database",
            format!(
                "{said}: the relay keeps every character that Transak sends, so make the database with `create database … encoding 'UTF8' template template0`"
            ),
        ),
    }
}

/// What was answered 200 must outlive the machine that answered it.
fn judge_durability(server: &Server) -> Line {
    let Server { standbys, .. } = server;
    if !server.fsync {
        return Line::warn(
            "durability",
            "fsync is off: a crash of the machine may lose or spoil everything; set it on",
        );
    }
    if server.synchronous_commit == "off" {
        return Line::warn(
            "durability",
            "synchronous_commit is off: a crash loses what was last answered 200; set it on",
        );
    }
    match (*standbys, server.synchronous_standbys.trim()) {
        (0, "") => Line::ok("durability", "commits are on disk; there is no standby"),
        (0, _) => Line::warn(
            "durability",
            "synchronous_standby_names is set and no standby follows: commits may wait for ever",
        ),
        (_, "") => Line::warn(
            "durability",
            format!(
                "{standbys} standbys follow and none is synchronous: a failover may lose what was answered 200; set synchronous_standby_names"
            ),
        ),
        _ => Line::ok(
            "durability",
            format!("{standbys} standbys follow, and commits wait for the synchronous ones"),
        ),
    }
}

/// Of `whose` clock, from `ahead` seconds.
pub(super) fn judge_clock(whose: &str, ahead: f64) -> Line {
    let side = if ahead > 0.0 { "ahead of" } else { "behind" };
    let said = format!("this machine's is {:.0} seconds {side} {whose}", ahead.abs());
    if ahead.abs() > TOLERATED {
        return Line::fail("clock", format!("{said}: receivers refuse what it signs; set it by NTP"));
    }
    Line::ok("clock", said)
}

fn judge_schema(schema: Schema) -> Line {
    match schema {
        Schema::Current => Line::ok("migrations", "the schema is this program's"),
        Schema::Behind(missing) => Line::fail(
            "migrations",
            format!(
                "{missing} are missing: run `transak-relay migrate`, or start the relay without RELAY_NO_MIGRATE"
            ),
        ),
        Schema::Newer(version) => Line::fail(
            "migrations",
            format!("a newer transak-relay has migrated it, to {version}: start that version or a newer one"),
        ),
    }
}

fn judge_key(fits: bool) -> Line {
    if fits {
        return Line::ok("master key", "it is the one that the database is used with");
    }
    Line::fail(
        "master key",
        "RELAY_MASTER_KEY is not the key this database is used with: give that key, or both while it is being changed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            version: "16.4".to_owned(),
            encoding: "UTF8".to_owned(),
            fsync: true,
            synchronous_commit: "on".to_owned(),
            standbys: 0,
            synchronous_standbys: String::new(),
        }
    }

    #[test]
    fn what_no_table_says_is_told_in_one_sentence_and_what_is_no_word_of_the_database_is_passed_on() {
        let mut told = Vec::new();
        let cut = crate::store::Error::from(sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
        broken(cut.into(), &mut Report::new(&mut told)).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(
            told,
            "fail  database      it stopped to answer while it was looked at: check that it runs, and its log\n"
        );
        assert!(broken(anyhow::anyhow!("another"), &mut Report::new(Vec::new())).is_err());
    }

    /// The first word of the line that says it.
    fn verdict(line: Line) -> String {
        let mut told = Vec::new();
        Report::new(&mut told).say(line).unwrap();
        String::from_utf8(told).unwrap().split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn standbys_of_which_none_is_synchronous_are_a_warning() {
        let of = |standbys, names: &str| {
            let synchronous_standbys = names.to_owned();
            verdict(judge_durability(&Server { standbys, synchronous_standbys, ..server() }))
        };
        assert_eq!([of(0, ""), of(2, ""), of(2, "first 1 (a)"), of(0, "a")], ["ok", "warn", "ok", "warn"]);
        assert_eq!(verdict(judge_durability(&Server { fsync: false, ..server() })), "warn");
        let lazy = Server { synchronous_commit: "off".to_owned(), ..server() };
        assert_eq!(verdict(judge_durability(&lazy)), "warn");
    }

    #[test]
    fn another_encoding_another_schema_another_key_and_a_wrong_clock_fail() {
        assert_eq!(verdict(judge_server(&server())), "ok");
        assert_eq!(verdict(judge_server(&Server { encoding: "LATIN1".to_owned(), ..server() })), "fail");
        assert_eq!(
            [judge_schema(Schema::Current), judge_schema(Schema::Behind(1)), judge_schema(Schema::Newer(99))]
                .map(verdict),
            ["ok", "fail", "fail"]
        );
        assert_eq!([judge_key(true), judge_key(false)].map(verdict), ["ok", "fail"]);
        assert_eq!(
            [1.0, -59.0, 61.0, -3600.0].map(|ahead| verdict(judge_clock("x", ahead))),
            ["ok", "ok", "fail", "fail"]
        );
    }
}
