//! Compiles the runtime to WebAssembly and embeds it in the native library as `WASM_BINARY`.
//!
//! Does nothing without the feature `std`: that is how the WebAssembly build itself, which starts from here, ends.

fn main() {
    #[cfg(feature = "std")]
    substrate_wasm_builder::WasmBuilder::build_using_defaults();
}
