# shellcheck shell=bash
# What every script shares: where things are, the build environment, and the one selection of what is built.
# To be sourced by bash. It installs nothing: scripts/setup does.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache_directory=${XDG_CACHE_HOME:-$HOME/.cache}/entropy

# The name under which rustup knows the toolchain that scripts/setup makes where the target cannot be downloaded.
wasm_toolchain=entropy-wasm
wasm_toolchain_directory=$cache_directory/wasm-toolchain
wasm_target=wasm32v1-none

say() { printf '%s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# rustup's proxies must win over a distribution's cargo, also before the user's next login has put them on the path.
cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
PATH=$cargo_bin:$PATH

# The toolchain that rust-toolchain.toml pins.
pinned_channel() {
    sed -n 's/^channel *= *"\(.*\)"/\1/p' "$repository/rust-toolchain.toml"
}

# Whether the toolchain named $1 has the libraries of the runtime's target.
has_wasm_target() {
    local sysroot
    sysroot=$(rustup run "$1" rustc --print sysroot 2>/dev/null) || return 1
    compgen -G "$sysroot/lib/rustlib/$wasm_target/lib/libcore-*.rlib" >/dev/null
}

# Exports what every build needs. The same values everywhere: another value makes cargo compile things again.
export_build_environment() {
    command -v rustup >/dev/null || fail "rustup is not installed: run scripts/setup"

    # Outside of the clone, so that a fresh clone on the same machine finds its dependencies compiled.
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache_directory/target}
    # `substrate-wasm-builder` looks for Cargo.lock upwards from the target directory, which is elsewhere.
    export WASM_BUILD_WORKSPACE_HINT=$repository

    # A linked toolchain compiles the runtime only where the pinned one cannot.
    if [ -z "${WASM_BUILD_TOOLCHAIN:-}" ] && ! has_wasm_target "$(pinned_channel)"; then
        has_wasm_target "$wasm_toolchain" || fail "no Rust toolchain has the target $wasm_target: run scripts/setup"
        export WASM_BUILD_TOOLCHAIN=$wasm_toolchain
    fi

    # Cargo names what it made of our crates by their path inside of the clone, and takes it for current if it is newer
    # than the sources: of another clone with older files it would take this one's.
    # So only one clone at a time may build there and use what it built: the lock is held until the script ends.
    local owner=$CARGO_TARGET_DIR/built-from
    mkdir -p "$CARGO_TARGET_DIR"
    exec 8>"$CARGO_TARGET_DIR/lock"
    if ! flock --nonblock 8; then
        say "waiting for another script that uses $CARGO_TARGET_DIR"
        flock 8
    fi
    if [ "$(cat "$owner" 2>/dev/null)" != "$repository" ]; then
        find "$repository" -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -exec touch --no-create {} +
        printf '%s' "$repository" >"$owner"
    fi

    # Cargo decides by itself, the runtime's builder does not.
    if [ ! -t 1 ]; then export WASM_BUILD_NO_COLOR=1; fi
}

# Features are unified over the packages and kinds of targets that one command selects, so a second selection would
# compile Substrate a second time. This is the one selection; further arguments go to cargo.
build_everything() {
    cargo build --release --locked --workspace --all-targets "$@"
}
