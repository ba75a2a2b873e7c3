//! The store under wrong passwords, altered bytes, other processes, and crashes at every step.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use entropy_shared::{Digest, Scheme};
use rand::{Rng, RngCore, SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

use super::*;

type Interrupt = Box<dyn FnMut(&'static str) -> Result<(), StoreError> + Send>;

/// Lets a test act, or make the store fail, at the steps of a change.
#[derive(Default)]
pub(super) struct Hook(Mutex<Option<Interrupt>>);

impl Hook {
    pub(super) fn reached(&self, step: &'static str) -> Result<(), StoreError> {
        self.0
            .lock()
            .unwrap()
            .as_mut()
            .map_or(Ok(()), |interrupt| interrupt(step))
    }

    fn set(&self, interrupt: Option<Interrupt>) {
        *self.0.lock().unwrap() = interrupt;
    }
}

const FAST: Kdf = Kdf {
    memory: 32,
    passes: 1,
    lanes: 1,
};
const GENESIS: Genesis = Genesis([7; 32]);

fn password() -> Zeroizing<String> {
    Zeroizing::new("correct horse battery staple".into())
}

fn folder(temp: &TempDir) -> PathBuf {
    temp.path().join("store")
}

fn create(temp: &TempDir) -> SledStore {
    SledStore::create_with(&folder(temp), &password(), GENESIS, FAST).unwrap()
}

/// Opens a store that this process may have just closed: sled's threads, and a child that another test is about to
/// start, hold the lock a moment longer.
fn open(dir: &Path) -> Result<SledStore, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match SledStore::open(dir, &password()) {
            Err(StoreError::Locked) if Instant::now() < deadline => std::thread::yield_now(),
            result => return result,
        }
    }
}

fn name(store: &SledStore, attempt: u32) -> ShareName {
    ShareName {
        genesis: GENESIS,
        scheme: Scheme::SchnorrTaproot,
        epoch: 1,
        attempt,
        party: store.party(),
        public_digest: Digest([attempt as u8; 32]),
    }
}

fn share(attempt: u32) -> Vec<u8> {
    (0..5000u32)
        .map(|i| (i.wrapping_mul(attempt.wrapping_add(3)) >> 2) as u8)
        .collect()
}

/// Copies a folder as it is on the disk at this moment: what a crash now would leave.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(fs::copy(entry.path(), target))
        }
    }
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_of(&entry.path()));
        }
    }
    found
}

fn seeded() -> ChaCha20Rng {
    let seed = OsRng.next_u64();
    println!("seed {seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

#[test]
fn shares_stages_and_identity_survive_a_restart() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let (account, noise) = (store.account().to_bytes(), store.noise_public());
    let (one, two) = (name(&store, 1), name(&store, 2));
    store.stage(&one, &share(1)).unwrap();
    store.stage(&two, &share(2)).unwrap();
    store.promote(&two).unwrap();
    store.promote(&two).unwrap();
    drop(store);

    let store = open(&folder(&temp)).unwrap();
    assert_eq!(store.account().to_bytes(), account);
    assert_eq!(store.noise_public(), noise);
    assert_eq!(store.genesis(), GENESIS);
    assert_eq!(
        store.party().as_bytes(),
        store.account().verifying_key().as_bytes()
    );
    assert_eq!(
        store.list().unwrap(),
        vec![(one.clone(), Stage::Staged), (two.clone(), Stage::Active)]
    );
    assert_eq!(*store.load(&one).unwrap(), share(1));
    assert_eq!(*store.load(&two).unwrap(), share(2));
    store.erase(&one).unwrap();
    store.erase(&one).unwrap();
    drop(store);

    let store = open(&folder(&temp)).unwrap();
    assert_eq!(store.list().unwrap(), vec![(two, Stage::Active)]);
    assert!(matches!(store.load(&one), Err(StoreError::Missing(missing)) if *missing == one));
    assert!(matches!(store.promote(&one), Err(StoreError::Missing(_))));
}

#[test]
fn default_parameters_work_and_are_the_recommended_ones() {
    let temp = TempDir::new().unwrap();
    drop(SledStore::create(&folder(&temp), &password(), GENESIS).unwrap());
    let header = fs::read(folder(&temp).join(HEADER)).unwrap();
    assert_eq!(
        &header[18..30],
        &[0, 0, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0],
        "65536 KiB, 3 passes, 4 lanes"
    );
    open(&folder(&temp)).unwrap();
}

#[test]
fn the_noise_key_is_that_of_rfc_7748() {
    // Section 6.1, Alice.
    let bytes = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
    let secret = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let public = bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_eq!(header::noise_public(&secret).unwrap(), public);
}

#[test]
fn a_name_is_staged_once() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let one = name(&store, 1);
    store.stage(&one, &share(1)).unwrap();
    store.promote(&one).unwrap();
    store.stage(&one, &share(1)).unwrap();
    assert_eq!(
        store.list().unwrap(),
        vec![(one.clone(), Stage::Active)],
        "the same bytes again change nothing"
    );
    assert!(matches!(
        store.stage(&one, &share(2)),
        Err(StoreError::Exists(_))
    ));
    assert_eq!(*store.load(&one).unwrap(), share(1));

    let stranger = ShareName {
        party: PartyId([9; 32]),
        ..one.clone()
    };
    let elsewhere = ShareName {
        genesis: Genesis([9; 32]),
        ..one
    };
    for foreign in [stranger, elsewhere] {
        assert!(matches!(
            store.stage(&foreign, &share(1)),
            Err(StoreError::Foreign(_))
        ));
    }
}

#[test]
fn a_ceremony_starts_once() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let (one, two) = (CeremonyId([1; 32]), CeremonyId([2; 32]));
    assert!(store.mark_started(&one).unwrap());
    assert!(!store.mark_started(&one).unwrap());
    drop(store);
    let store = open(&folder(&temp)).unwrap();
    assert!(!store.mark_started(&one).unwrap());
    assert!(store.mark_started(&two).unwrap());
}

#[test]
fn a_wrong_password_changes_nothing() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let one = name(&store, 1);
    store.stage(&one, &share(1)).unwrap();
    drop(store);
    let wrong = SledStore::open(&folder(&temp), &Zeroizing::new("wrong".into()));
    assert!(matches!(wrong, Err(StoreError::WrongPassword)));
    assert_eq!(*open(&folder(&temp)).unwrap().load(&one).unwrap(), share(1));
}

#[test]
fn a_second_process_is_locked_out() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    assert!(matches!(
        SledStore::open(&folder(&temp), &password()),
        Err(StoreError::Locked)
    ));
    drop(store);
    open(&folder(&temp)).unwrap();
}

#[test]
fn every_altered_byte_of_the_header_is_noticed() {
    let temp = TempDir::new().unwrap();
    drop(create(&temp));
    let path = folder(&temp).join(HEADER);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        match open(&folder(&temp)).err() {
            Some(StoreError::Foreign(_)) if at < 18 => {}
            Some(StoreError::Damaged(_)) if at >= 18 => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(
            open(&folder(&temp)).err(),
            Some(StoreError::Foreign(_) | StoreError::Damaged(_))
        ));
    }
    // Altered on purpose, with a checksum to match.
    for at in [30, 62, CLEAR_END + 5] {
        use sha2::Digest as _;
        let mut bad = good.clone();
        bad[at] ^= 1;
        let body = bad.len() - 32;
        let sum = sha2::Sha256::digest(&bad[..body]);
        bad[body..].copy_from_slice(&sum);
        fs::write(&path, &bad).unwrap();
        assert!(
            matches!(open(&folder(&temp)).err(), Some(StoreError::WrongPassword)),
            "byte {at}"
        );
    }
    // A header that would make this process use 4 TiB.
    let mut greedy = good.clone();
    greedy[18..22].copy_from_slice(&u32::MAX.to_le_bytes());
    let body = greedy.len() - 32;
    let sum = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&greedy[..body])
    };
    greedy[body..].copy_from_slice(&sum);
    fs::write(&path, &greedy).unwrap();
    assert!(matches!(
        open(&folder(&temp)).err(),
        Some(StoreError::Damaged(_))
    ));

    fs::write(&path, &good).unwrap();
    open(&folder(&temp)).unwrap();
}

const CLEAR_END: usize = 94;

#[test]
fn every_altered_byte_of_the_keys_file_is_noticed() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    store.stage(&name(&store, 1), &share(1)).unwrap();
    let path = folder(&temp).join(KEYS);
    let good = fs::read(&path).unwrap();
    let read = || Keys::read(&folder(&temp), &store.password_key, store.header.salt());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        fs::write(&path, &bad).unwrap();
        assert!(matches!(read(), Err(StoreError::Damaged(_))), "byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        assert!(matches!(read(), Err(StoreError::Damaged(_))), "length {at}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(), Err(StoreError::Damaged(_))));
    drop(store);
    assert!(matches!(open(&folder(&temp)), Err(StoreError::Damaged(_))));

    // The keys file of another store with the same password.
    let other = TempDir::new().unwrap();
    drop(create(&other));
    fs::copy(folder(&other).join(KEYS), &path).unwrap();
    assert!(matches!(open(&folder(&temp)), Err(StoreError::Damaged(_))));

    fs::write(&path, &good).unwrap();
    assert_eq!(open(&folder(&temp)).unwrap().list().unwrap().len(), 1);
}

#[test]
fn every_altered_byte_of_a_record_is_noticed() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let (one, two) = (name(&store, 1), name(&store, 2));
    store.stage(&one, b"a short share").unwrap();
    store.stage(&two, &share(2)).unwrap();
    let good = store.shares.get(one.encode()).unwrap().unwrap();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        store.shares.insert(one.encode(), bad).unwrap();
        assert!(
            matches!(store.load(&one), Err(StoreError::Damaged(_))),
            "byte {at}"
        );
        store.shares.insert(one.encode(), &good[..at]).unwrap();
        assert!(
            matches!(store.load(&one), Err(StoreError::Damaged(_))),
            "length {at}"
        );
    }
    store.shares.remove(one.encode()).unwrap();
    assert!(matches!(store.load(&one), Err(StoreError::Damaged(_))));
    assert_eq!(
        *store.load(&two).unwrap(),
        share(2),
        "the others are not affected"
    );
    drop(store);
    let store = open(&folder(&temp)).unwrap();
    assert!(
        matches!(store.load(&one), Err(StoreError::Damaged(_))),
        "a lost record is noticed after a restart too"
    );
    assert_eq!(*store.load(&two).unwrap(), share(2));
}

#[test]
fn a_record_under_another_name_is_refused() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let (one, two) = (name(&store, 1), name(&store, 2));
    store.stage(&one, &share(1)).unwrap();
    store.stage(&two, &share(2)).unwrap();
    let moved = store.shares.get(one.encode()).unwrap().unwrap();
    store.shares.insert(two.encode(), &moved).unwrap();
    assert!(matches!(store.load(&two), Err(StoreError::Damaged(_))));
    // Even with its data key.
    let entry = store.keys().get(&one).unwrap().clone();
    let changed = store.keys().with(&two, entry);
    *store.keys() = changed;
    assert!(matches!(store.load(&two), Err(StoreError::Damaged(_))));
    assert_eq!(*store.load(&one).unwrap(), share(1));
}

#[test]
fn a_damaged_database_never_gives_other_bytes() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let names: Vec<_> = (0..4).map(|attempt| name(&store, attempt)).collect();
    for (attempt, name) in (0..).zip(&names) {
        store.stage(name, &share(attempt)).unwrap();
    }
    drop(store);
    let mut rng = seeded();
    let path = folder(&temp).join(DATABASE).join("db");
    let good = fs::read(&path).unwrap();
    let written = good.iter().rposition(|byte| *byte != 0).unwrap();
    for round in 0..24 {
        let mut bad = good.clone();
        if round % 4 == 0 {
            bad.truncate(rng.gen_range(0..=written));
        } else {
            bad[rng.gen_range(0..=written)] ^= 1 << rng.gen_range(0..8);
        }
        let damaged = TempDir::new().unwrap();
        copy(&folder(&temp), &folder(&damaged));
        fs::write(folder(&damaged).join(DATABASE).join("db"), bad).unwrap();
        match open(&folder(&damaged)) {
            Err(StoreError::Damaged(_) | StoreError::Foreign(_) | StoreError::Io(_)) => {}
            Err(other) => panic!("{other:?}"),
            Ok(store) => {
                assert_eq!(store.list().unwrap().len(), names.len());
                for (attempt, name) in (0..).zip(&names) {
                    match store.load(name) {
                        Ok(bytes) => assert_eq!(*bytes, share(attempt)),
                        Err(StoreError::Damaged(_) | StoreError::Io(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_lost_or_foreign_database_is_noticed() {
    let (temp, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = create(&temp);
    store.stage(&name(&store, 1), &share(1)).unwrap();
    assert!(store.mark_started(&CeremonyId([1; 32])).unwrap());
    drop(store);
    let foreign = create(&other);
    let kept = name(&foreign, 2);
    foreign.stage(&kept, &share(2)).unwrap();
    drop(foreign);

    let (ours, theirs) = (folder(&temp).join(DATABASE), folder(&other).join(DATABASE));
    let aside = temp.path().join("aside");
    fs::rename(&ours, &aside).unwrap();
    assert!(
        matches!(open(&folder(&temp)), Err(StoreError::Damaged(what)) if what.contains("missing"))
    );
    fs::remove_dir_all(&ours).unwrap();
    fs::rename(&theirs, &ours).unwrap();
    assert!(
        matches!(open(&folder(&temp)), Err(StoreError::Damaged(what)) if what.contains("another"))
    );
    // Put back where they belong, both are whole.
    fs::rename(&ours, &theirs).unwrap();
    fs::rename(&aside, &ours).unwrap();
    assert_eq!(
        *open(&folder(&other)).unwrap().load(&kept).unwrap(),
        share(2)
    );
    let store = open(&folder(&temp)).unwrap();
    assert_eq!(*store.load(&name(&store, 1)).unwrap(), share(1));
    assert!(!store.mark_started(&CeremonyId([1; 32])).unwrap());
}

#[test]
fn other_folders_are_refused_and_left_alone() {
    let temp = TempDir::new().unwrap();
    let dir = folder(&temp);
    assert!(
        matches!(open(&dir), Err(StoreError::Io(_))),
        "no folder at all"
    );
    files::make_private_folder(&dir).unwrap();
    assert!(
        matches!(open(&dir), Err(StoreError::Foreign(what)) if what.contains("create a store first"))
    );
    fs::write(dir.join("diary"), "dear diary").unwrap();
    assert!(matches!(open(&dir), Err(StoreError::Foreign(_))));
    let refused = SledStore::create_with(&dir, &password(), GENESIS, FAST);
    assert!(matches!(refused, Err(StoreError::Foreign(what)) if what.contains("other files")));
    assert_eq!(files_of(&dir), vec![dir.join("diary")]);
    fs::remove_file(dir.join("diary")).unwrap();

    let account = create(&temp).account().to_bytes();
    let again = SledStore::create_with(&dir, &password(), GENESIS, FAST);
    assert!(matches!(again, Err(StoreError::Foreign(what)) if what.contains("already holds")));
    assert_eq!(open(&dir).unwrap().account().to_bytes(), account);

    let mut newer = fs::read(dir.join(HEADER)).unwrap();
    newer[16] = 2;
    fs::write(dir.join(HEADER), newer).unwrap();
    assert!(matches!(open(&dir), Err(StoreError::Foreign(what)) if what.contains("format 2")));
    // What a crash in the middle of creating leaves.
    fs::remove_file(dir.join(HEADER)).unwrap();
    for result in [
        open(&dir),
        SledStore::create_with(&dir, &password(), GENESIS, FAST),
    ] {
        assert!(matches!(result, Err(StoreError::Foreign(what)) if what.contains("interrupted")));
    }
}

#[test]
fn folders_and_files_that_others_may_read_are_refused() {
    let temp = TempDir::new().unwrap();
    let dir = folder(&temp);
    let store = create(&temp);
    store.stage(&name(&store, 1), &vec![5; 700_000]).unwrap();
    store.promote(&name(&store, 1)).unwrap();
    for path in files_of(&dir).into_iter().chain([dir.clone()]) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    drop(store);
    for (path, mode, remedy) in [
        (dir.clone(), 0o755, "chmod 700"),
        (dir.join(HEADER), 0o640, "chmod 600"),
        (dir.join(KEYS), 0o604, "chmod 600"),
    ] {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(open(&dir), Err(StoreError::Exposed(what)) if what.contains(remedy)));
        fs::set_permissions(&path, before).unwrap();
    }
    open(&dir).unwrap();

    let wide = TempDir::new().unwrap();
    fs::create_dir(folder(&wide)).unwrap();
    fs::set_permissions(folder(&wide), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = SledStore::create_with(&folder(&wide), &password(), GENESIS, FAST);
    assert!(matches!(refused, Err(StoreError::Exposed(_))));
}

#[test]
fn an_erased_share_stays_erased_though_its_bytes_are_still_there() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let (one, two) = (name(&store, 1), name(&store, 2));
    store.stage(&one, &share(1)).unwrap();
    store.stage(&two, &share(2)).unwrap();
    let old_record = store.shares.get(one.encode()).unwrap().unwrap();
    drop(store);
    let stolen = TempDir::new().unwrap();
    copy(&folder(&temp), &folder(&stolen));

    let store = open(&folder(&temp)).unwrap();
    store.erase(&one).unwrap();
    drop(store);
    // The old database with the keys that are left.
    fs::copy(folder(&temp).join(KEYS), folder(&stolen).join(KEYS)).unwrap();
    let keys = {
        let header = Header::parse(&fs::read(folder(&stolen).join(HEADER)).unwrap()).unwrap();
        let password_key = header.password_key(password().as_bytes()).unwrap();
        Keys::read(&folder(&stolen), &password_key, header.salt()).unwrap()
    };
    assert_eq!(keys.entries().count(), 1);
    assert!(
        keys.entries()
            .all(|(_, entry)| entry.key.open(&share_context(&one), &old_record).is_none())
    );
    let store = open(&folder(&stolen)).unwrap();
    assert!(matches!(store.load(&one), Err(StoreError::Missing(_))));
    assert_eq!(
        store.shares.get(one.encode()).unwrap().unwrap(),
        old_record,
        "a record without key is useless, and is left alone"
    );
    assert_eq!(*store.load(&two).unwrap(), share(2));
}

#[test]
fn nothing_secret_is_on_the_disk_in_plain() {
    let temp = TempDir::new().unwrap();
    let store = create(&temp);
    let secret = share(77);
    store.stage(&name(&store, 1), &secret).unwrap();
    store.promote(&name(&store, 1)).unwrap();
    let data_key = *store.keys().get(&name(&store, 1)).unwrap().key.as_bytes();
    let hidden: [&[u8]; 5] = [
        &secret[100..116],
        &secret[4000..4016],
        &store.account().to_bytes()[..16],
        &store.noise_secret()[..16],
        &data_key[..16],
    ];
    let mut read = 0;
    for path in files_of(&folder(&temp))
        .into_iter()
        .filter(|path| path.is_file())
    {
        let bytes = fs::read(&path).unwrap();
        read += bytes.len();
        for needle in hidden {
            assert!(
                !bytes.windows(needle.len()).any(|window| window == needle),
                "{}",
                path.display()
            );
        }
    }
    assert!(read > secret.len());
}

/// What a change does to a store that has shares 1 (active), 2 (staged) and none of 3.
#[derive(Debug, Clone, Copy)]
enum Change {
    Stage,
    Promote,
    Erase,
    Mark,
}

/// Attempts and the stages of their shares.
type Stages = &'static [(u32, Stage)];

const MARK: CeremonyId = CeremonyId([3; 32]);

impl Change {
    const ALL: [Self; 4] = [Self::Stage, Self::Promote, Self::Erase, Self::Mark];

    fn prepare(temp: &TempDir) -> SledStore {
        let store = create(temp);
        store.stage(&name(&store, 1), &share(1)).unwrap();
        store.promote(&name(&store, 1)).unwrap();
        store.stage(&name(&store, 2), &share(2)).unwrap();
        store
    }

    fn apply(self, store: &SledStore) -> Result<(), StoreError> {
        match self {
            Self::Stage => store.stage(&name(store, 3), &share(3)),
            Self::Promote => store.promote(&name(store, 2)),
            Self::Erase => store.erase(&name(store, 2)),
            Self::Mark => store.mark_started(&MARK).map(drop),
        }
    }

    /// Whether the change is seen; anything but the old or the new state is a failure.
    fn is_seen(self, store: &SledStore) -> bool {
        let list = store.list().unwrap();
        for (name, _) in &list {
            assert_eq!(*store.load(name).unwrap(), share(name.attempt), "{self:?}");
        }
        let stages: Vec<_> = list
            .iter()
            .map(|(name, stage)| (name.attempt, *stage))
            .collect();
        let (old, new): (Stages, Stages) = match self {
            Self::Stage => (
                &[(1, Stage::Active), (2, Stage::Staged)],
                &[(1, Stage::Active), (2, Stage::Staged), (3, Stage::Staged)],
            ),
            Self::Promote => (
                &[(1, Stage::Active), (2, Stage::Staged)],
                &[(1, Stage::Active), (2, Stage::Active)],
            ),
            Self::Erase => (
                &[(1, Stage::Active), (2, Stage::Staged)],
                &[(1, Stage::Active)],
            ),
            Self::Mark => {
                assert_eq!(stages, [(1, Stage::Active), (2, Stage::Staged)]);
                return !store.mark_started(&MARK).unwrap();
            }
        };
        assert!(stages == old || stages == new, "{self:?}: {stages:?}");
        stages == new
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_old_state_or_the_new() {
    for change in Change::ALL {
        let temp = TempDir::new().unwrap();
        let store = Change::prepare(&temp);
        let crashes = std::sync::Arc::new(Mutex::new(Vec::new()));
        let (dir, seen) = (folder(&temp), crashes.clone());
        store.hook.set(Some(Box::new(move |step| {
            let image = TempDir::new().unwrap();
            copy(&dir, &folder(&image));
            seen.lock().unwrap().push((step, image));
            Ok(())
        })));
        change.apply(&store).unwrap();
        let done = TempDir::new().unwrap();
        copy(&folder(&temp), &folder(&done));
        assert!(
            change.is_seen(&open(&folder(&done)).unwrap()),
            "{change:?} was acknowledged"
        );

        let crashes = std::mem::take(&mut *crashes.lock().unwrap());
        assert!(!crashes.is_empty(), "{change:?}");
        for (step, image) in crashes {
            let store =
                open(&folder(&image)).unwrap_or_else(|error| panic!("{change:?} {step}: {error}"));
            change.is_seen(&store);
            change
                .apply(&store)
                .unwrap_or_else(|error| panic!("{change:?} {step}, again: {error}"));
            drop(store);
            assert!(
                change.is_seen(&open(&folder(&image)).unwrap()),
                "{change:?} {step}"
            );
        }
    }
}

#[test]
fn a_failure_at_any_step_can_be_tried_again() {
    for change in Change::ALL {
        for failing in 0.. {
            let temp = TempDir::new().unwrap();
            let store = Change::prepare(&temp);
            let mut step = 0;
            store.hook.set(Some(Box::new(move |name| {
                step += 1;
                if step > failing {
                    Err(StoreError::Io(format!("no space left on device, {name}")))
                } else {
                    Ok(())
                }
            })));
            if change.apply(&store).is_ok() {
                assert!(failing > 0, "{change:?} has steps");
                break;
            }
            store.hook.set(None);
            change.apply(&store).unwrap();
            assert!(change.is_seen(&store));
            drop(store);
            assert!(
                change.is_seen(&open(&folder(&temp)).unwrap()),
                "{change:?}, step {failing}"
            );
        }
    }
}

#[test]
fn a_failing_disk_is_reported_and_loses_nothing() {
    let temp = TempDir::new().unwrap();
    let store = Change::prepare(&temp);
    // Nothing can be written where this stands, whoever runs the test.
    let obstacle = folder(&temp).join(files::temporary(KEYS));
    fs::create_dir(&obstacle).unwrap();
    for change in [Change::Stage, Change::Promote, Change::Erase] {
        assert!(
            matches!(change.apply(&store), Err(StoreError::Io(_))),
            "{change:?}"
        );
        assert!(!change.is_seen(&store));
    }
    fs::remove_dir(&obstacle).unwrap();
    drop(store);
    let store = open(&folder(&temp)).unwrap();
    assert!(!Change::Stage.is_seen(&store));
    Change::Stage.apply(&store).unwrap();
}

const CHILD_FOLDER: &str = "ENTROPY_TEST_STORE_CHILD";

/// Run by the next test in a process of its own: changes the store until it is killed, and says what it was promised.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let store = open(Path::new(&dir)).unwrap();
    let mut out = std::io::stdout();
    for attempt in 1.. {
        let name = name(&store, attempt);
        store.stage(&name, &share(attempt)).unwrap();
        writeln!(out, "\nacknowledged staged {attempt}").unwrap();
        if attempt % 2 == 0 {
            store.promote(&name).unwrap();
            writeln!(out, "\nacknowledged active {attempt}").unwrap();
        }
        if attempt % 3 == 0 {
            store.erase(&name).unwrap();
            writeln!(out, "\nacknowledged erased {attempt}").unwrap();
        }
    }
}

/// Kills its process when dropped, so that a failing test leaves none behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn everything_acknowledged_survives_kill_9() {
    let temp = TempDir::new().unwrap();
    drop(create(&temp));
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "adapters::store::tests::child_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD_FOLDER, folder(&temp))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut acknowledged = std::collections::BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(said) = line.strip_prefix("acknowledged ") else {
            continue;
        };
        let (what, attempt) = said.split_once(' ').unwrap();
        acknowledged.insert(attempt.parse::<u32>().unwrap(), what.to_owned());
        count += 1;
        if count == 30 {
            child.0.kill().unwrap();
        }
    }
    drop(child);
    assert!(count >= 30, "the child ended by itself");

    let store = open(&folder(&temp)).unwrap();
    let last = *acknowledged.keys().last().unwrap();
    let list: std::collections::BTreeMap<_, _> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|(n, s)| (n.attempt, s))
        .collect();
    for (attempt, what) in &acknowledged {
        match (what.as_str(), list.get(attempt)) {
            ("staged", Some(Stage::Staged))
            | ("active", Some(Stage::Active))
            | ("erased", None) => {}
            // The change after the last acknowledged one may have happened.
            (_, found) if *attempt == last => println!("{attempt}: {what}, then {found:?}"),
            (_, found) => panic!("{attempt} was acknowledged as {what} and is {found:?}"),
        }
    }
    for (attempt, _) in list {
        assert_eq!(*store.load(&name(&store, attempt)).unwrap(), share(attempt));
    }
}
