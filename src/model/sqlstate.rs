//! Whom an error of Postgres is about, told from its SQLSTATE: the row, what stands in its way, or everything.
//!
//! What a row cannot help must never be taken for its own fault: it would be put aside for ever, though it could be kept
//! a moment later. So only what is certain to be the row's own is called so, and whatever nobody thought of is the
//! environment's.

/// Whom an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The row: it will be refused wherever and whenever it comes.
    Row,
    /// A lock that somebody holds: only what needs it has to wait.
    Lock,
    /// Another transaction came first: the same may succeed at once.
    Race,
    /// Postgres is not to be had right now: nothing can be written.
    Away,
    /// Postgres answers, but its schema, its rights or its state are not what they must be.
    Environment,
}

/// Whose constraint or index an error names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Nobodys,
    /// Of our own migrations.
    Ours,
    /// Somebody has put it on our tables, or on his own.
    Foreign,
}

/// Judges a SQLSTATE and the name that comes with it.
pub fn fault(code: &str, named: Named) -> Fault {
    match judge(code, named) {
        // What is right for our own schema is refused by something of somebody else's.
        Fault::Row if named == Named::Foreign => Fault::Environment,
        fault => fault,
    }
}

/// All classes of PostgreSQL 15 to 18 are named, so that a new one has to be thought about.
#[expect(clippy::match_same_arms, reason = "each is named for a reason of its own")]
fn judge(code: &str, named: Named) -> Fault {
    match code {
        // A key that is taken, a check that fails: one that we know.
        "23505" | "23514" if named == Named::Ours => Fault::Row,
        // An enum without this value, a type with another form: program and schema differ.
        "22P02" | "22P03" | "22023" => Fault::Environment,
        // A sequence has come to its end; a division that this program does not know, as in a trigger.
        "2200H" | "22012" => Fault::Environment,
        // A row or an index entry that is too large. Its neighbours in the class are about the statement.
        "54000" => Fault::Row,
        "55P03" => Fault::Lock,
        // Nobody knows whether it was committed.
        "40003" => Fault::Away,
        // The server only reads; the session was ended in its transaction; a database that takes no connections.
        "25006" | "25P03" | "25P04" | "55000" => Fault::Away,
        _ => class(code.get(..2).unwrap_or_default()),
    }
}

#[expect(clippy::match_same_arms, reason = "what is known is named, what is new is not")]
fn class(class: &str) -> Fault {
    match class {
        // Data exceptions.
        "22" => Fault::Row,
        // The row it refers to is not there, and may come, as in a restore; a column that this program does not know wants
        // a value; a partition that is missing is told as a check that fails, without a name.
        "23" => Fault::Environment,
        // Serialization failures and deadlocks.
        "40" => Fault::Race,
        // Connections; authorization and databases, which are asked about when one connects; resources; operators; the
        // system below.
        "08" | "28" | "3D" | "53" | "57" | "58" => Fault::Away,
        // Success, warnings and no data are no errors; unfinished statements, triggers, features, transactions, locators,
        // grants and roles, diagnostics, XQuery, cases, cardinality, cursors, transaction states, names of statements,
        // changes by triggers, privileges, endings, routines, savepoints, schemas, syntax and rights, views, limits of
        // statements, states of objects, snapshots, configuration, foreign data, PL/pgSQL, internal errors.
        "00" | "01" | "02" | "03" | "09" | "0A" | "0B" | "0F" | "0L" | "0P" | "0Z" | "10" | "20" | "21"
        | "24" | "25" | "26" | "27" | "2B" | "2D" | "2F" | "34" | "38" | "39" | "3B" | "3F" | "42" | "44"
        | "54" | "55" | "72" | "F0" | "HV" | "P0" | "XX" => Fault::Environment,
        _ => Fault::Environment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All classes of the appendix "PostgreSQL Error Codes" with the codes of each that are most often seen, and the
    /// exceptions within a class.
    const TABLE: &[(Fault, &[&str])] = &[
        (
            Fault::Row,
            &[
                "22000", "22001", "22003", "22007", "22008", "22021", "22026", "22030", "22032", "22P01",
                "22P04", "22P05", "22P06", "54000",
            ],
        ),
        (Fault::Lock, &["55P03"]),
        (Fault::Race, &["40000", "40001", "40002", "40P01"]),
        (
            Fault::Away,
            &[
                "08000", "08001", "08003", "08004", "08006", "08007", "08P01", "25006", "25P03", "25P04",
                "28000", "28P01", "3D000", "40003", "53000", "53100", "53200", "53300", "53400", "55000",
                "57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "58000", "58030", "58P01",
                "58P02", "58P03",
            ],
        ),
        (
            Fault::Environment,
            &[
                "00000",
                "01000",
                "02000",
                "03000",
                "09000",
                "0A000",
                "0B000",
                "0F000",
                "0L000",
                "0P000",
                "0Z000",
                "10608",
                "20000",
                "21000",
                "22023",
                "22P02",
                "22P03",
                "23000",
                "23001",
                "23502",
                "23503",
                "23P01",
                "24000",
                "25000",
                "25P01",
                "25P02",
                "26000",
                "27000",
                "2B000",
                "2D000",
                "2F000",
                "34000",
                "38000",
                "39000",
                "3B000",
                "3F000",
                "42000",
                "42501",
                "42601",
                "42703",
                "42704",
                "42804",
                "42883",
                "42P01",
                "42P18",
                "44000",
                "54001",
                "54011",
                "54023",
                "55006",
                "55P02",
                "55P04",
                "72000",
                "F0000",
                "HV000",
                "P0000",
                "P0001",
                "XX000",
                "XX001",
                "XX002",
                "",
                "4",
                "99999",
                "zz999",
                "\u{e9}\u{e9}\u{e9}",
            ],
        ),
    ];

    #[test]
    fn every_class_is_judged() {
        for (fault_of, codes) in TABLE {
            for code in *codes {
                assert_eq!(fault(code, Named::Nobodys), *fault_of, "{code}");
                assert_eq!(fault(code, Named::Ours), *fault_of, "{code} of ours");
            }
        }
    }

    #[test]
    fn a_key_or_a_check_is_the_rows_fault_only_if_it_is_ours() {
        for code in ["23505", "23514"] {
            assert_eq!(fault(code, Named::Ours), Fault::Row);
            assert_eq!(fault(code, Named::Foreign), Fault::Environment);
            // A partition that is missing is told so.
            assert_eq!(fault(code, Named::Nobodys), Fault::Environment);
        }
    }

    #[test]
    fn what_names_something_foreign_is_never_the_rows_own_fault() {
        for (_, codes) in TABLE {
            for code in *codes {
                assert_ne!(fault(code, Named::Foreign), Fault::Row, "{code}");
            }
        }
    }

    #[test]
    fn only_what_is_certain_is_called_the_rows_own_fault() {
        let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').collect();
        for first in &alphabet {
            for second in &alphabet {
                let class = format!("{first}{second}");
                let is_row = fault(&format!("{class}999"), Named::Ours) == Fault::Row;
                assert_eq!(is_row, class == "22", "{class}");
            }
        }
    }
}
