//! The Vulkan device that Meganeura computes on.

use std::env;
use std::panic::{catch_unwind, resume_unwind};

use arena::{Failure, Result};
use meganeura::{Graph, build_inference_session};

/// What Meganeura panics with where Vulkan offers no device.
const NO_DEVICE: &str = "failed to initialize blade GPU context";

pub struct Device {
    /// The device, by its own name.
    pub name: String,
    pub driver: String,
    /// Threads of the software rasteriser; none of a GPU.
    pub threads: Option<usize>,
}

/// The device for `accelerator`: `vulkan` is a GPU, `cpu` is Mesa's software rasteriser with `threads` threads.
///
/// Must come before anything that starts a thread or opens Vulkan. Fails with `no-device`.
pub fn open(accelerator: &str, threads: usize) -> Result<Device> {
    let software = match accelerator {
        "cpu" => true,
        "vulkan" => false,
        other => {
            let why =
                format!("Meganeura computes on Vulkan devices and on the CPU through Mesa, not on {other}");
            return Err(Failure::unsupported("no-device", why));
        }
    };
    if software {
        // SAFETY: this process has one thread yet.
        unsafe {
            env::set_var("LP_NUM_THREADS", threads.to_string());
            env::set_var("VK_LOADER_DRIVERS_SELECT", "*lvp*"); // no GPU instead, where the loader knows the variable
        }
    }
    let session = catch_unwind(|| {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1]);
        let y = graph.neg(x);
        graph.set_outputs(vec![y]);
        build_inference_session(&graph)
    });
    let session = session.map_err(|payload| {
        let text = payload.downcast_ref::<String>().filter(|text| text.starts_with(NO_DEVICE));
        let Some(text) = text else { resume_unwind(payload) };
        Failure::unsupported("no-device", format!("no usable Vulkan device: {text}"))
    })?;
    let found = session.device_information();
    let name = found.device_name.clone();
    if found.is_software_emulated != software {
        let why = match software {
            true => format!("the first Vulkan device is {name}, not Mesa's software rasteriser"),
            false => format!("the only Vulkan device is {name}, which is the CPU"),
        };
        return Err(Failure::unsupported("no-device", why));
    }
    Ok(Device { name, driver: found.driver_name.clone(), threads: software.then_some(threads) })
}
