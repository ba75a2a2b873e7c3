//! Compiles the runtime to WebAssembly and embeds it in the native library as `WASM_BINARY`.
//!
//! Does nothing without the feature `std`: that is how the WebAssembly build itself, which starts from here, ends.

#[cfg(all(feature = "std", not(feature = "metadata-hash")))]
fn main() {
    substrate_wasm_builder::WasmBuilder::build_using_defaults();
}

/// The symbol and the decimals of the token are part of the hash: those of the node's chain specifications.
#[cfg(all(feature = "std", feature = "metadata-hash"))]
fn main() {
    substrate_wasm_builder::WasmBuilder::init_with_defaults()
        .enable_metadata_hash("ENT", 12)
        .build();
}

#[cfg(not(feature = "std"))]
fn main() {}
