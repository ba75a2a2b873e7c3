//! What the command prints: answers for people or programs, progress, failures.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde_json::{Value, json};

/// What a command has found out.
pub(crate) struct Answer {
    json: Value,
    text: String,
}

impl Answer {
    /// Facts as pairs of a name for people and a value; `json` says the same to programs.
    pub(crate) fn new(json: Value, facts: &[(&str, String)]) -> Self {
        let width = facts
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default();
        let text = facts
            .iter()
            .map(|(name, value)| format!("{name:width$}  {value}\n"))
            .collect();
        Self { json, text }
    }

    /// Free text for people; `json` says the same to programs.
    pub(crate) const fn text(json: Value, text: String) -> Self {
        Self { json, text }
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        let printed = if json {
            writeln!(output, "{:#}", self.json)
        } else {
            output.write_all(self.text.as_bytes())
        };
        printed
            .and_then(|()| output.flush())
            .map_err(|error| Failure::Failed(error.into()))
    }
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// The user has to ask in another way.
    Usage(String),
    /// It did not work.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// Prints it to standard error.
    pub(crate) fn print(&self, json: bool) {
        let (kind, message) = match self {
            Self::Usage(message) => ("usage", message.clone()),
            Self::Failed(error) => ("failed", format!("{error:#}")),
        };
        if json {
            to_stderr(&format!(
                "{:#}",
                json!({ "error": { "kind": kind, "message": message } })
            ));
        } else {
            to_stderr(&format!("error: {message}"));
        }
    }

    /// 2 for wrong usage, 1 for everything else.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Tells the user how far it is, on standard error.
pub(crate) fn progress(text: &str) {
    to_stderr(text);
}

fn to_stderr(line: &str) {
    // There is nobody left to tell if this fails.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Whether somebody reads the output as it comes.
pub(crate) fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// Bytes as 0x and hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
