//! The program's command line as an operator meets it: what it prints, how it ends, what it refuses and in which words.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use ed25519_dalek::{Signature, VerifyingKey};
use entropy_shared::{
    AccountId, Genesis, PartyId,
    canonical::{ServerInfo, binding_bytes},
};
use serde_json::Value;
use tempfile::TempDir;

const GENESIS: &str = "0x6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e";
const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const ALICE_HEX: &str = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
const PASSWORD: &str = "correct horse";

/// A folder of its own for one test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn password_file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .expect("the file is new");
        file.write_all(text.as_bytes()).expect("written");
        path
    }

    /// A store, and the file with its password.
    fn initialised() -> (Self, PathBuf) {
        let place = Self::new();
        let password = place.password_file("password", &format!("{PASSWORD}\n"), 0o600);
        let output = init(&place.data(), &password);
        assert!(output.status.success(), "{}", errors(&output));
        (place, password)
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entropy-tss"));
    // Without a terminal, so that a missing password cannot make a test wait for one.
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

fn init(data: &Path, password: &Path) -> Output {
    output(
        program()
            .arg("init")
            .arg("--data")
            .arg(data)
            .args(["--genesis", GENESIS])
            .arg("--password-file")
            .arg(password),
    )
}

fn proof(data: &Path, password: &Path, stash: &str, endpoint: &str) -> Output {
    let mut command = program();
    command
        .arg("proof")
        .arg("--data")
        .arg(data)
        .arg("--password-file")
        .arg(password);
    output(command.args(["--stash", stash, "--endpoint", endpoint]))
}

fn run(data: &Path, password: &Path) -> Command {
    let mut command = program();
    command
        .arg("run")
        .arg("--data")
        .arg(data)
        .arg("--password-file")
        .arg(password);
    // Nothing listens on the port that only means "any".
    command.args(["--node", "ws://127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program ended with code 2 and said all of `words`.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "“{word}” is not in: {said}");
    }
    assert!(!said.contains(PASSWORD), "the password is in: {said}");
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let digits = text.strip_prefix("0x").expect("begins with 0x");
    hex::decode(digits)
        .expect("hexadecimal")
        .try_into()
        .expect("the right length")
}

#[test]
fn init_prints_account_and_keys() {
    let place = Place::new();
    let password = place.password_file("password", PASSWORD, 0o600);
    let output = init(&place.data(), &password);
    let printed = String::from_utf8(output.stdout).expect("text");
    let value = |label: &str| {
        let line = printed
            .lines()
            .find(|line| line.starts_with(label))
            .expect("the line is there");
        line[label.len()..].trim().to_owned()
    };
    assert!(value("account").starts_with('5'), "{printed}");
    bytes::<32>(&value("public key"));
    bytes::<32>(&value("noise key"));
    assert_eq!(value("genesis"), GENESIS);
}

#[test]
fn init_twice_is_refused_and_changes_nothing() {
    let (place, password) = Place::initialised();
    let before = proof(&place.data(), &password, ALICE, "ws://127.0.0.1:4000").stdout;
    assert_refused(
        &init(&place.data(), &password),
        &["already holds a share store"],
    );
    assert_eq!(
        proof(&place.data(), &password, ALICE, "ws://127.0.0.1:4000").stdout,
        before
    );
}

#[test]
fn init_needs_a_chain() {
    let place = Place::new();
    let output = output(program().arg("init").arg("--data").arg(place.data()));
    assert_refused(&output, &["--genesis", "--node"]);
    assert!(!place.data().exists());
}

#[test]
fn init_names_a_node_that_does_not_answer() {
    let place = Place::new();
    let output = output(
        program()
            .arg("init")
            .arg("--data")
            .arg(place.data())
            .args(["--node", "ws://127.0.0.1:0"]),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("ws://127.0.0.1:0"),
        "{}",
        errors(&output)
    );
    assert!(!place.data().exists());
}

#[test]
fn proof_is_a_signature_over_the_binding() {
    let (place, password) = Place::initialised();
    let endpoint = "wss://tss.example:4000";
    let output = proof(&place.data(), &password, ALICE, endpoint);
    assert!(output.status.success(), "{}", errors(&output));
    let proof: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |field: &str| proof[field].as_str().expect("text").to_owned();
    assert_eq!(
        (text("stash").as_str(), text("endpoint").as_str()),
        (ALICE_HEX, endpoint)
    );
    assert_eq!(text("genesis"), GENESIS);
    let server: [u8; 32] = bytes(&text("server"));
    let info = ServerInfo {
        server: PartyId(server),
        endpoint: endpoint.as_bytes().to_vec(),
        noise_key: bytes(&text("noise_key")),
    };
    let signed = binding_bytes(
        &Genesis(bytes(GENESIS)),
        &AccountId(bytes(ALICE_HEX)),
        &info,
    );
    let key = VerifyingKey::from_bytes(&server).expect("an Ed25519 key");
    key.verify_strict(&signed, &Signature::from_bytes(&bytes(&text("signature"))))
        .expect("it verifies");
}

#[test]
fn wrong_passwords_are_refused() {
    let (place, _) = Place::initialised();
    let wrong = place.password_file("wrong", "battery staple", 0o600);
    assert_refused(
        &proof(&place.data(), &wrong, ALICE, "ws://127.0.0.1:4000"),
        &["wrong password"],
    );
    assert_refused(
        &output(&mut run(&place.data(), &wrong)),
        &["wrong password"],
    );
}

#[test]
fn password_files_must_be_private_present_and_filled() {
    let (place, _) = Place::initialised();
    let try_with = |file: &Path| proof(&place.data(), file, ALICE, "ws://127.0.0.1:4000");
    assert_refused(
        &try_with(&place.0.path().join("absent")),
        &["cannot open the password file", "absent"],
    );
    let open = place.password_file("open", PASSWORD, 0o644);
    // The mode at creation is subject to the umask.
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    assert_refused(
        &try_with(&open),
        &["others can read the password file", "chmod 600"],
    );
    assert_refused(
        &try_with(&place.password_file("empty", "\n", 0o600)),
        &["is empty"],
    );
    assert_refused(
        &try_with(&place.password_file("long", &"x".repeat(5000), 0o600)),
        &["longer than 4096 bytes"],
    );
}

#[test]
fn bad_arguments_say_what_was_expected() {
    let (place, password) = Place::initialised();
    let data = place.data();
    assert_refused(
        &proof(&data, &password, "alice", "ws://127.0.0.1:4000"),
        &["--stash", "SS58"],
    );
    assert_refused(
        &proof(&data, &password, ALICE, "http://tss.example"),
        &["--endpoint", "ws://HOST:PORT"],
    );
    let mut bad_node = program();
    bad_node.arg("run").arg("--data").arg(&data).args([
        "--node",
        "http://127.0.0.1:9944",
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_refused(&output(&mut bad_node), &["--node", "ws://HOST:PORT"]);
}

#[test]
fn folders_without_a_store_are_refused() {
    let place = Place::new();
    let password = place.password_file("password", PASSWORD, 0o600);
    assert_refused(&output(&mut run(&place.data(), &password)), &["data"]);
}

/// A running server, killed if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"
    )
    .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn server_says_where_it_listens_and_stops_cleanly() {
    let (place, password) = Place::initialised();
    let child = run(&place.data(), &password)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.expect("the program starts"));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("a line");
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .expect("the address")
        .to_owned();
    assert!(get(&address, "/healthz").ends_with("\r\n\r\nok"));
    // Its node is not there.
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 503"));
    assert!(get(&address, "/metrics").contains("entropy_chain_connected 0"));

    // While it runs nobody else may open its store.
    assert_refused(
        &output(&mut run(&place.data(), &password)),
        &["in use by another process"],
    );

    let killed = Command::new("kill")
        .args(["-TERM", &running.0.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(killed.success());
    assert_eq!(running.0.wait().expect("it ends").code(), Some(0));
}
