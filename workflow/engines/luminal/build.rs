//! Puts the version of luminal that Cargo.lock names into `LUMINAL_VERSION`.

use std::{env, fs, path::Path};

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let lock = Path::new(&manifest).join("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).expect("Cargo.lock is committed");
    let entry = text.split("[[package]]").find(|entry| entry.contains("name = \"luminal\""));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    println!("cargo::rustc-env=LUMINAL_VERSION={}", version.expect("luminal is a dependency"));
}
