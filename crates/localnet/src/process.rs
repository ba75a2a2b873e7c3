//! One child process: started, watched through its log, killed and started again.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tokio::sync::watch;

/// How many lines of its log show why a process failed.
const TAIL_LINES: usize = 40;

/// How long a program may take to do one thing, or to be up; generous for a machine that is busy.
pub(crate) const PROGRAM_TIME: Duration = Duration::from_secs(180);

/// How long a process may take to end by itself.
const STOP_TIME: Duration = Duration::from_secs(30);

/// A program with its arguments and its log, running or not. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// How much of the log there was before this run.
    log_start: usize,
    /// The length of the log; ends when the process has closed its output.
    log_length: watch::Receiver<usize>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process has ended and has been waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    /// A process that does not run yet; what it prints will be appended to the file `log`.
    pub fn new(name: String, program: &Path, arguments: Vec<OsString>, log: PathBuf) -> Self {
        Self {
            name,
            program: program.into(),
            arguments,
            log,
            running: None,
        }
    }

    /// Its name in messages, also that of its log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it, with the same arguments each time.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            bail!("{} runs already", self.name);
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("{} cannot be written", self.log.display()))?;
        let log_start = log
            .metadata()
            .map(|metadata| metadata.len() as usize)
            .unwrap_or_default();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // The lines that are waited for are of level `info`, which is the programs' default.
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be executed", self.program.display()))?;
        let outputs = (child.stdout.take(), child.stderr.take());
        let (length, log_length) = watch::channel(log_start);
        self.running = Some(Running {
            child,
            log_start,
            log_length,
        });
        if let (Some(output), Some(errors)) = outputs {
            let log = Arc::new(Mutex::new((log, length)));
            let same_log = log.clone();
            // Threads of their own, because they wait for the process as long as it runs.
            std::thread::Builder::new().spawn(move || copy(output, &log))?;
            std::thread::Builder::new().spawn(move || copy(errors, &same_log))?;
        }
        Ok(())
    }

    /// Waits until it has printed a line of this run that contains `text`, and returns that line.
    pub async fn wait_for_line(&self, text: &str, within: Duration) -> anyhow::Result<String> {
        let Some(running) = &self.running else {
            bail!("{} does not run", self.name)
        };
        let mut length = running.log_length.clone();
        let wait = async {
            loop {
                length.borrow_and_update();
                let log = std::fs::read(&self.log).context("a log cannot be read")?;
                let log = String::from_utf8_lossy(log.get(running.log_start..).unwrap_or_default());
                if let Some(line) = log.lines().find(|line| line.contains(text)) {
                    return Ok(line.to_owned());
                }
                if length.changed().await.is_err() {
                    bail!(
                        "{} ended before it printed `{text}`\n{}",
                        self.name,
                        self.tail()
                    );
                }
            }
        };
        let late = |_| {
            bail!(
                "{} has not printed `{text}` within {within:?}\n{}",
                self.name,
                self.tail()
            )
        };
        tokio::time::timeout(within, wait)
            .await
            .unwrap_or_else(late)
    }

    /// Kills it with signal 9, about which it can do nothing, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(running) => {
                drop(running);
                Ok(())
            }
            None => bail!("{} does not run", self.name),
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let Some(mut running) = self.running.take() else {
            bail!("{} does not run", self.name)
        };
        // The shell's own command: the program `kill` is not installed everywhere.
        let id = running.child.id().to_string();
        Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id])
            .status()
            .context("sh cannot be executed")?;
        // Its output is closed when it has ended; what follows then does not block.
        let ended = async { while running.log_length.changed().await.is_ok() {} };
        match tokio::time::timeout(STOP_TIME, ended).await {
            Ok(()) => Ok(running.child.wait()?),
            Err(_) => bail!(
                "{} did not end within {STOP_TIME:?} of being asked to\n{}",
                self.name,
                self.tail()
            ),
        }
    }

    /// An error that says how and shows its log, if it should run and has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        match running.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status})\n{}", self.name, self.tail()),
        }
    }

    /// The last lines of its log, under a heading.
    pub fn tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!(
            "--- the end of {}:\n{}",
            self.log.display(),
            last.join("\n")
        )
    }

    /// How much memory it uses now, in bytes: its resident set, from `/proc`. `None` if it does not run.
    pub fn memory(&self) -> Option<u64> {
        let id = self.running.as_ref()?.child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

/// Copies lines to the log until there are no more.
fn copy(from: impl Read, log: &Mutex<(File, watch::Sender<usize>)>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // A process that cannot be read any more has ended, and one whose log cannot be written must not block on its output.
    while from
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        if let Ok(mut log) = log.lock() {
            let (file, length) = &mut *log;
            if file.write_all(&line).is_ok() {
                length.send_modify(|length| *length += line.len());
            }
        }
        line.clear();
    }
}

/// Runs a program to its end and returns what it printed on its two outputs; an error shows the second.
pub(crate) async fn run<const N: usize>(
    program: &Path,
    arguments: [OsString; N],
) -> anyhow::Result<(String, String)> {
    let what = || {
        format!(
            "{} {}",
            program.display(),
            arguments.join(" ".as_ref()).display()
        )
    };
    let command = tokio::process::Command::new(program)
        .args(&arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PROGRAM_TIME, command)
        .await
        .with_context(|| format!("{} did not end within {PROGRAM_TIME:?}", what()))?
        .with_context(|| format!("{} cannot be executed", what()))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        what(),
        output.status,
        errors.trim()
    );
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("{} prints no text", what()))?;
    Ok((text, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    fn shell(directory: &tempfile::TempDir, script: &str) -> Process {
        let arguments = ["-c", script].map(OsString::from).to_vec();
        Process::new(
            "script".into(),
            Path::new("/bin/sh"),
            arguments,
            directory.path().join("log"),
        )
    }

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary directories can be made")
    }

    #[tokio::test]
    async fn a_line_is_found_on_both_outputs() {
        let directory = directory();
        let mut process = shell(
            &directory,
            "echo one; echo two >&2; exec cat /dev/zero >/dev/null",
        );
        process.start().expect("sh is there");
        assert_eq!(
            process.wait_for_line("tw", SOON).await.expect("is printed"),
            "two"
        );
        assert_eq!(
            process
                .wait_for_line("one", SOON)
                .await
                .expect("is printed"),
            "one"
        );
        assert!(process.memory().is_some_and(|bytes| bytes > 0));
        process.check_running().expect("it runs");
        process.kill().expect("it can be killed");
        assert_eq!(process.memory(), None);
    }

    #[tokio::test]
    async fn a_process_that_ends_too_early_is_reported_with_its_log() {
        let directory = directory();
        let mut process = shell(&directory, "echo out of luck; exit 3");
        process.start().expect("sh is there");
        let error = process
            .wait_for_line("ready", SOON)
            .await
            .expect_err("it prints something else");
        assert!(error.to_string().contains("out of luck"), "{error}");
    }

    #[tokio::test]
    async fn each_run_has_to_print_the_line_itself() {
        let directory = directory();
        let mut process = shell(&directory, "echo ready; exec cat /dev/zero >/dev/null");
        process.start().expect("sh is there");
        process
            .wait_for_line("ready", SOON)
            .await
            .expect("is printed");
        process.kill().expect("it can be killed");
        let length = std::fs::metadata(directory.path().join("log"))
            .expect("there is a log")
            .len();
        process.start().expect("it can be started again");
        process
            .wait_for_line("ready", SOON)
            .await
            .expect("is printed");
        let longer = std::fs::metadata(directory.path().join("log"))
            .expect("there is a log")
            .len();
        assert!(longer > length);
    }

    #[tokio::test]
    async fn stopping_lets_a_process_end_by_itself() {
        let directory = directory();
        let script = "trap 'kill $!; exit 7' TERM; sleep 600 & echo ready; wait";
        let mut process = shell(&directory, script);
        process.start().expect("sh is there");
        process
            .wait_for_line("ready", SOON)
            .await
            .expect("is printed");
        let status = process.stop().await.expect("it ends");
        assert_eq!(status.code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_kills() {
        let directory = directory();
        let mut process = shell(&directory, "echo $$; exec cat /dev/zero >/dev/null");
        process.start().expect("sh is there");
        let id = process
            .wait_for_line("", SOON)
            .await
            .expect("prints its id");
        let status = PathBuf::from(format!("/proc/{id}/status"));
        assert!(status.exists(), "process {id} does not run");
        drop(process);
        assert!(!status.exists(), "process {id} is still there");
    }
}
