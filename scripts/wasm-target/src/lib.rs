//! The smallest module that needs what the runtime needs of its toolchain: `core`, `alloc`, link-time optimisation.
//! It is never executed.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};

struct NoMemory;

// SAFETY: a null pointer is how an allocator reports that it has no memory; nothing is ever handed out.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses both libraries in a way that the optimiser cannot remove.
#[unsafe(no_mangle)]
pub extern "C" fn probe(count: u32) -> u32 {
    (0..count)
        .rev()
        .collect::<Vec<_>>()
        .iter()
        .fold(0, |sum, value| sum ^ value)
}
