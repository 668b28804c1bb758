//! What CubeCL keeps of the kernels that it has tuned and compiled.

use std::path::Path;

use cubecl_environment::config::RuntimeConfig;
use cubecl_environment::persistence::CacheConfig;
use cubecl_runtime::config::CubeClRuntimeConfig;

/// Keep them below `cache`, the cell's own folder, so that a cell's first process starts with nothing and its later
/// ones with what the first has left. Must come before there is a device; CubeCL's variables count as ever.
pub fn keep_in(cache: &Path) {
    let mut config = CubeClRuntimeConfig::default().override_from_env();
    config.environment.path = CacheConfig::Directory(cache.join("cubecl"));
    config.compilation.cache = true;
    CubeClRuntimeConfig::set(config);
}
