//! Burn on Flex, its CPU backend.

use std::process::ExitCode;

use arena::{Description, Job, Result};
use arena_burn::{Backend, Burn};
use burn::tensor::Device;

struct Flex;

impl Backend for Flex {
    fn open(job: &Job) -> Result<(Device, Description)> {
        rayon::ThreadPoolBuilder::new().num_threads(job.cell.threads).build_global()?;
        let description = Description {
            backend: "CPU, Flex".into(),
            device: job.cell.accelerator.clone(),
            threads: Some(rayon::current_num_threads()),
        };
        Ok((Device::flex(), description))
    }
}

fn main() -> ExitCode {
    arena::main::<Burn<Flex>>()
}
