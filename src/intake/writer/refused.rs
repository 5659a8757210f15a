//! What is not put on disk: what strangers send beyond their share while the database is away.

use std::sync::atomic::Ordering;

use super::super::Waiting;
use super::super::told::Line;
use super::Writer;

/// The most bytes of strangers that wait on disk where `max_bytes` may wait in all, so that they take no room from what
/// Transak says. They are not turned away altogether: a webhook that is signed with the partner's next token looks like
/// theirs.
pub(super) fn share_of_strangers(max_bytes: u64) -> u64 {
    (max_bytes / 8).min(16 << 20)
}

impl Writer {
    /// What is to be spooled, less what strangers sent beyond their share: they see their reply dropped.
    pub(super) fn without_excess_strangers(&self, batch: Vec<Waiting>) -> Vec<Waiting> {
        if !self.is_spooling() && self.aside.bytes() == 0 {
            self.of_strangers.store(0, Ordering::Release);
        }
        let directory = self.directory.borrow().clone();
        let (kept, turned_away): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
            let bytes = waiting.heard.data.len() as u64;
            !waiting.heard.is_of_a_stranger(&directory)
                || self.of_strangers.fetch_add(bytes, Ordering::AcqRel) + bytes <= self.most_of_strangers
        });
        if !turned_away.is_empty() {
            if let Some(messages) = self.flow.told.times(Line::Stranger, turned_away.len() as u64) {
                tracing::warn!(messages, "what strangers sent is not spooled: they have had their share");
            }
            self.flow.settle(turned_away.len());
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use secrecy::SecretString;
    use sqlx::PgPool;
    use tempfile::TempDir;
    use tokio::sync::watch;

    use super::*;
    use crate::intake::Heard;
    use crate::intake::directory::Directory;
    use crate::intake::spool::Spool;
    use crate::intake::stream_log::tests::logging;
    use crate::intake::suspicion::Suspicion;
    use crate::intake::writer::OnDisk;
    use crate::intake::{Form, Intake, Settings, SpoolTrouble};
    use crate::model::event::Source;
    use crate::model::hops::Hops;
    use crate::model::id::PartnerId;
    use crate::transak::jws::VerifyingKey;

    fn writer(pool: &PgPool, partner: PartnerId) -> (Intake, Writer, TempDir) {
        writer_with(pool, partner, 1 << 30)
    }

    fn writer_with(pool: &PgPool, partner: PartnerId, max_bytes: u64) -> (Intake, Writer, TempDir) {
        let mut directory = Directory::default();
        directory.add(partner, "key", vec![VerifyingKey::new(&SecretString::from("token"))]);
        let picture = watch::Sender::new(Arc::new(directory));
        let folder = tempfile::tempdir().unwrap();
        let (intake, writer) = Writer::new(Settings {
            pool: pool.clone(),
            directory: picture.subscribe(),
            spool: Spool::open(folder.path(), max_bytes).unwrap(),
            hand_over: None,
            suspicion: Suspicion::default(),
            reconcile_every: Duration::from_mins(1),
        });
        (intake, writer, folder)
    }

    fn heard(partner: PartnerId, source: Source, data: &str) -> Heard {
        Heard {
            partner_id: Some(partner),
            source,
            form: Form::Signed,
            channel: None,
            event: None,
            data: Bytes::copy_from_slice(data.as_bytes()),
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            hops: Hops::default(),
            trace: None,
        }
    }

    async fn fill(pool: &PgPool, partner: PartnerId) {
        let full = "insert into quarantine_usage (partner_id, messages, bytes) values ($1, 10000, 0)";
        sqlx::query(full).bind(partner.uuid()).execute(pool).await.unwrap();
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn what_the_stream_tells_and_a_full_quarantine_cannot_take_is_a_loss(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer(&pool, partner);
        fill(&pool, partner).await;
        intake.offer(heard(partner, Source::Stream, "not signed")).unwrap();
        writer.drain().await;
        let at = heard(partner, Source::Stream, "").at;
        assert_eq!(intake.flow.take_lost(), [(partner, (at, at))]);
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn what_waited_on_disk_and_finds_the_quarantine_full_is_a_loss(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer(&pool, partner);
        fill(&pool, partner).await;
        let spooled = heard(partner, Source::Stream, "not signed");
        writer.spool_batch(vec![Waiting { heard: spooled, reply: None }], OnDisk::Spool).await;
        writer.drain().await;
        assert_eq!(intake.flow.take_lost().len(), 1);
        assert!(!writer.is_spooling());
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn what_the_stream_tells_and_neither_the_database_nor_the_disk_can_take_is_a_loss(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer_with(&pool, partner, 1);
        pool.close().await;
        intake.offer(heard(partner, Source::Stream, "told by Transak")).unwrap();
        writer.write_next().await;
        let at = heard(partner, Source::Stream, "").at;
        assert_eq!(intake.flow.take_lost(), [(partner, (at, at))]);
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn a_stranger_is_never_refused_and_never_a_loss(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer(&pool, partner);
        fill(&pool, partner).await;
        intake.offer(heard(partner, Source::Webhook, "not signed")).unwrap();
        writer.drain().await;
        assert_eq!(intake.flow.take_lost(), []);
        let kept: i64 = sqlx::query_scalar("select count(*) from quarantine").fetch_one(&pool).await.unwrap();
        assert_eq!(kept, 1);
    }

    /// Lines of the log that are of this level.
    fn of_level<'a>(lines: &'a [String], level: &str) -> Vec<&'a String> {
        lines.iter().filter(|line| line.contains(level)).collect()
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn a_thousand_messages_that_are_quarantined_are_one_line(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer(&pool, partner);
        let (lines, _guard) = logging();
        for number in 0..100 {
            intake.offer(heard(partner, Source::Stream, &format!("not signed {number}"))).unwrap();
        }
        writer.drain().await;
        let lines = lines.all();
        assert_eq!(of_level(&lines, "WARN").len(), 1, "{lines:?}");
        assert!(lines[0].contains("messages=1 ") && lines[0].contains("source=\"stream\""), "{lines:?}");
        assert_eq!(writer.flow.told.times(Line::Quarantined, 0), None, "its minute is not over");
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn a_full_spool_is_one_error_however_much_is_lost_and_is_told_apart(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer_with(&pool, partner, 100);
        pool.close().await;
        let (lines, _guard) = logging();
        for number in 0..100 {
            intake.offer(heard(partner, Source::Stream, &format!("too much {number}"))).unwrap();
            writer.write_next().await;
        }
        let lines = lines.all();
        assert_eq!(of_level(&lines, "ERROR").len(), 1, "{lines:?}");
        assert_eq!(of_level(&lines, "WARN").len(), 1, "{lines:?}");
        let health = writer.health().borrow().clone();
        assert!(matches!(health.disk, Some(SpoolTrouble::Full { .. })), "{health:?}");
        assert_eq!(health.refused, 100);
    }

    #[test]
    fn strangers_have_an_eighth_of_a_small_spool_and_sixteen_mebibytes_of_a_large_one() {
        assert_eq!([2 << 20, 1 << 30].map(share_of_strangers), [256 << 10, 16 << 20]);
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn while_the_database_is_away_strangers_fill_only_their_share_of_the_disk(pool: PgPool) {
        let partner = PartnerId::new();
        let (intake, mut writer, _folder) = writer(&pool, partner);
        pool.close().await;
        // The longest body of a webhook.
        let junk = "x".repeat(256 << 10);
        let mut answers = Vec::new();
        for _ in 0..70 {
            let heard = heard(partner, Source::Webhook, &junk);
            let (taken, ()) = tokio::join!(intake.keep(heard), writer.write_next());
            answers.push(taken.is_ok());
        }
        assert_eq!(answers.iter().filter(|taken| **taken).count(), 64);
        let (taken, ()) =
            tokio::join!(intake.keep(heard(partner, Source::Stream, "told by Transak")), writer.write_next());
        assert!(taken.is_ok(), "what the stream tells has its own room");
    }
}
