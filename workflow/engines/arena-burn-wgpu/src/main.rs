//! Burn on wgpu, pinned to Vulkan: on a GPU, or on a CPU through Mesa's lavapipe.

use std::process::ExitCode;

use arena::vulkan::Kind;
use arena::{Description, Failure, Job, Result};
use arena_burn::{Backend, Burn, kernels};
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::wgpu::WgpuInitError::AdapterUnavailable;
use burn::tensor::wgpu::wgpu::DeviceType;
use burn::tensor::{Device, DeviceKind};

struct Wgpu;

impl Backend for Wgpu {
    fn open(job: &Job) -> Result<(Device, Description)> {
        let kind = Kind::wanted(job);
        kernels::keep_in(&job.files.cache);
        let wanted = match kind {
            Kind::Gpu => DeviceKind::DefaultDevice, // the fastest that there is
            Kind::Software => DeviceKind::Cpu,
        };
        let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan).device_kind(wanted);
        let (device, setup) = options.init_with_setup().map_err(|error| match error {
            AdapterUnavailable { .. } => kind.missing(error),
            other => Failure::from(other),
        })?;
        let found = setup.adapter.get_info();
        kind.check(&found.name, found.device_type == DeviceType::Cpu)?;
        let description = Description {
            backend: format!("wgpu, Vulkan, {}", found.driver),
            device: found.name,
            threads: kind.threads(job),
        };
        Ok((device, description))
    }
}

fn main() -> ExitCode {
    arena::main::<Burn<Wgpu>>()
}
