//! Burn on CUDA, whose kernels CubeCL compiles for the card that it finds.
//!
//! Burn 0.22 rounds the factors of float32 products to TF32 where that is faster, and has no switch for it.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::{env, path::Path};

use arena::{Description, Failure, Job, Result};
use arena_burn::{Backend, Burn, kernels};
use burn::tensor::Device;

/// CUDA's folder where this program was built: CubeCL reads headers from it when it compiles.
const BUILT_WITH: Option<&str> = option_env!("ARENA_CUDA_PATH");

struct Cuda;

impl Backend for Cuda {
    fn open(job: &Job) -> Result<(Device, Description)> {
        if let (None, Some(path)) = (env::var_os("CUDA_PATH"), BUILT_WITH)
            && Path::new(path).is_dir()
        {
            // SAFETY: this process has one thread yet.
            unsafe { env::set_var("CUDA_PATH", path) };
        }
        kernels::keep_in(&job.files.cache);
        let opened = catch_unwind(|| {
            let device = Device::cuda(0);
            device.sync().map(|()| device)
        });
        let device = match opened {
            Ok(device) => device?,
            Err(payload) => {
                let text =
                    payload.downcast_ref::<String>().map_or("Burn's CUDA backend panicked", String::as_str);
                return Err(Failure::unsupported("no-device", text));
            }
        };
        let description = Description {
            backend: "CUDA, CubeCL".into(),
            device: job.cell.accelerator.clone(),
            threads: None,
        };
        Ok((device, description))
    }
}

fn main() -> ExitCode {
    arena::main::<Burn<Cuda>>()
}
