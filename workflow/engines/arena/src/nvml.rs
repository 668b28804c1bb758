//! The energy counter of an NVIDIA card, from its driver's library: `arena/measuring/nvml.py` in Rust.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::{env, mem, ptr};

const SUCCESS: c_int = 0;

type Device = *mut c_void;

/// A card that counts its energy.
pub struct Card {
    energy: unsafe extern "C" fn(Device, *mut c_ulonglong) -> c_int,
    device: Device,
}

impl Card {
    /// The card that CUDA calls device 0; none where there is no NVIDIA driver, or no such card.
    ///
    /// NVML counts by PCI bus, as CUDA does where `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.
    pub fn open() -> Option<Self> {
        let visible = env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        let first = visible.split(',').next().unwrap_or_default().trim();
        // SAFETY: signatures are those of nvml.h, which are stable by name; every pointer is to a local.
        unsafe {
            let library = libc::dlopen(c"libnvidia-ml.so.1".as_ptr(), libc::RTLD_NOW);
            if library.is_null() {
                return None;
            }
            let init: unsafe extern "C" fn() -> c_int = symbol(library, c"nvmlInit_v2")?;
            let energy = symbol(library, c"nvmlDeviceGetTotalEnergyConsumption")?;
            let mut device = ptr::null_mut();
            if init() != SUCCESS {
                return None;
            }
            let found = if let Ok(index) = first.parse::<c_uint>() {
                let by_index: unsafe extern "C" fn(c_uint, *mut Device) -> c_int =
                    symbol(library, c"nvmlDeviceGetHandleByIndex_v2")?;
                by_index(index, &raw mut device)
            } else if first.is_empty() {
                let by_index: unsafe extern "C" fn(c_uint, *mut Device) -> c_int =
                    symbol(library, c"nvmlDeviceGetHandleByIndex_v2")?;
                by_index(0, &raw mut device)
            } else {
                let by_uuid: unsafe extern "C" fn(*const c_char, *mut Device) -> c_int =
                    symbol(library, c"nvmlDeviceGetHandleByUUID")?;
                by_uuid(CString::new(first).ok()?.as_ptr(), &raw mut device)
            };
            (found == SUCCESS).then_some(Self { energy, device })
        }
    }

    /// Millijoules since the driver was loaded, by a counter that steps every 20 to 100 ms.
    pub fn energy_mj(&self) -> Option<u64> {
        let mut value = 0;
        // SAFETY: the handle is the driver's own, and `value` a local.
        let status = unsafe { (self.energy)(self.device, &raw mut value) };
        (status == SUCCESS).then_some(value)
    }
}

/// The library's function of that name.
///
/// # Safety
/// `F` must be a pointer to a function with that function's signature.
unsafe fn symbol<F>(library: *mut c_void, name: &CStr) -> Option<F> {
    // SAFETY: the library is open, and `F` is as large as the pointer that it is made of.
    unsafe {
        let found = libc::dlsym(library, name.as_ptr());
        (!found.is_null()).then(|| mem::transmute_copy(&found))
    }
}
