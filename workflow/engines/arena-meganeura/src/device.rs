//! The Vulkan device that Meganeura computes on.

use std::panic::{catch_unwind, resume_unwind};

use arena::vulkan::Kind;
use arena::{Description, Job, Result};
use meganeura::{Graph, build_inference_session};

/// What Meganeura panics with where Vulkan offers no device.
const NO_DEVICE: &str = "failed to initialize blade GPU context";

/// Find the device of the job's accelerator; what there is to say of it.
///
/// Must come before anything that starts a thread or opens Vulkan. Fails with `no-device`.
pub fn open(job: &Job) -> Result<Description> {
    let kind = Kind::wanted(job);
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
        kind.missing(text)
    })?;
    let found = session.device_information();
    kind.check(&found.device_name, found.is_software_emulated)?;
    Ok(Description {
        backend: format!("Vulkan, {}", found.driver_name),
        device: found.device_name.clone(),
        threads: kind.threads(job),
    })
}
