//! The Vulkan device that an engine is to compute on: a GPU, or on a CPU Mesa's software rasteriser, lavapipe.

use std::{env, fmt};

use crate::{Failure, Job, Result};

/// What stands behind a Vulkan device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gpu,
    /// lavapipe, which computes on the CPU.
    Software,
}

impl Kind {
    /// The kind that the job's accelerator means; lavapipe is told the job's threads.
    ///
    /// Must come before anything that starts a thread or opens Vulkan.
    pub fn wanted(job: &Job) -> Self {
        let kind = Self::of(&job.cell.accelerator);
        if kind == Self::Software {
            // SAFETY: this process has one thread yet.
            unsafe {
                env::set_var("LP_NUM_THREADS", job.cell.threads.to_string());
                env::set_var("VK_LOADER_DRIVERS_SELECT", "*lvp*"); // where the loader knows it: no GPU instead
            }
        }
        kind
    }

    /// Whatever else the accelerator is called, by this interface it is a GPU.
    fn of(accelerator: &str) -> Self {
        if accelerator == "cpu" { Self::Software } else { Self::Gpu }
    }

    /// Threads that compute: those of lavapipe, none of a GPU.
    pub fn threads(self, job: &Job) -> Option<usize> {
        (self == Self::Software).then_some(job.cell.threads)
    }

    /// The failure where Vulkan offers no device at all; `why` in the words of the framework.
    pub fn missing(self, why: impl fmt::Display) -> Failure {
        no_device(format!("no usable Vulkan device: {why}"))
    }

    /// That the device called `name`, which is on the CPU if `software`, is of this kind; else `no-device`.
    pub fn check(self, name: &str, software: bool) -> Result<()> {
        match (self, software) {
            (Self::Gpu, true) => {
                Err(no_device(format!("the only Vulkan device is {name}, which is the CPU")))
            }
            (Self::Software, false) => {
                Err(no_device(format!("the first Vulkan device is {name}, not Mesa's software rasteriser")))
            }
            _ => Ok(()),
        }
    }
}

fn no_device(why: String) -> Failure {
    Failure::unsupported("no-device", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason<T>(result: Result<T>) -> String {
        match result {
            Err(Failure::Unsupported { code: "no-device", why }) => why,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it did not fail"),
        }
    }

    #[test]
    fn an_accelerator_means_a_kind_of_device() {
        assert_eq!(Kind::of("cpu"), Kind::Software);
        for accelerator in ["vulkan", "cuda", "rocm"] {
            assert_eq!(Kind::of(accelerator), Kind::Gpu);
        }
    }

    #[test]
    fn a_device_of_the_other_kind_is_refused_by_name() {
        assert!(Kind::Gpu.check("a card", false).is_ok());
        assert!(Kind::Software.check("llvmpipe", true).is_ok());
        assert!(reason(Kind::Gpu.check("llvmpipe", true)).contains("llvmpipe, which is the CPU"));
        assert!(reason(Kind::Software.check("a card", false)).contains("a card, not Mesa's"));
    }
}
