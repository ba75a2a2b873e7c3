//! Finds the programs that the workspace builds.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The node, `entropy-node`.
    pub node: PathBuf,
    /// The threshold-signature server, `entropy-tss`.
    pub server: PathBuf,
    /// The command of users and operators, `entropy`.
    pub cli: PathBuf,
}

impl Binaries {
    /// Looks in `ENTROPY_BIN_DIR` if that is set, else beside the running program; a test's is in `deps` below.
    pub fn find() -> anyhow::Result<Self> {
        let directory = match std::env::var_os("ENTROPY_BIN_DIR") {
            Some(directory) => PathBuf::from(directory),
            None => {
                let program =
                    std::env::current_exe().context("the running program's path is unknown")?;
                let beside = program.parent().unwrap_or(Path::new("/"));
                let is_test = beside.file_name().is_some_and(|name| name == "deps");
                beside
                    .parent()
                    .filter(|_| is_test)
                    .unwrap_or(beside)
                    .to_path_buf()
            }
        };
        Self::in_directory(&directory)
    }

    fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let path = directory.join(name);
            ensure!(
                path.is_file(),
                "{} is missing: build all of the workspace first, as scripts/test and scripts/quickstart do \
                 (or say in ENTROPY_BIN_DIR where the programs are)",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            node: find("entropy-node")?,
            server: find("entropy-tss")?,
            cli: find("entropy")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Binaries;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let empty = tempfile::tempdir().expect("temporary directories can be made");
        let error = Binaries::in_directory(empty.path())
            .expect_err("it is empty")
            .to_string();
        assert!(
            error.contains("entropy-node is missing") && error.contains("scripts/test"),
            "{error}"
        );
    }
}
