//! Named tensors in safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::{Failure, Result};

/// A float32 tensor in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Array {
    /// Fails unless `shape` and `data` agree in size.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        if shape.iter().product::<usize>() != data.len() {
            return Err(Failure::Error(format!("{} values for shape {shape:?}", data.len())));
        }
        Ok(Self { shape, data })
    }
}

/// A tensor of the workload: token ids and labels are integers, all else is float32.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Float(Array),
    Integer { shape: Vec<usize>, data: Vec<i64> },
}

impl Input {
    /// The float32 tensor, or an error that names what was expected.
    pub fn float(&self) -> Result<&Array> {
        match self {
            Self::Float(array) => Ok(array),
            Self::Integer { .. } => Err(Failure::Error("an int64 input; expected float32".into())),
        }
    }

    /// The integers, or an error that names what was expected.
    pub fn integers(&self) -> Result<&[i64]> {
        match self {
            Self::Integer { data, .. } => Ok(data),
            Self::Float(_) => Err(Failure::Error("a float32 input; expected int64".into())),
        }
    }

    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(array) => &array.shape,
            Self::Integer { shape, .. } => shape,
        }
    }
}

/// A safetensors file, mapped into memory.
pub struct File {
    path: PathBuf,
    map: Mmap,
}

impl File {
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            fs::File::open(path).map_err(|error| Failure::Error(format!("{}: {error}", path.display())))?;
        // SAFETY: results are written under other names and moved into place, never changed.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { path: path.to_path_buf(), map })
    }

    /// The mapped bytes, for engines that parse the format themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Every float32 tensor, copied out of the map.
    pub fn arrays(&self) -> Result<BTreeMap<String, Array>> {
        self.inputs()?
            .into_iter()
            .map(|(name, input)| match input {
                Input::Float(array) => Ok((name, array)),
                Input::Integer { .. } => Err(self.unexpected(&name, "int64", "float32")),
            })
            .collect()
    }

    /// Every tensor, float32 or int64.
    pub fn inputs(&self) -> Result<BTreeMap<String, Input>> {
        let parsed = SafeTensors::deserialize(&self.map).map_err(|error| {
            Failure::Error(format!("{}: not a whole safetensors file ({error})", self.path.display()))
        })?;
        let mut found = BTreeMap::new();
        for (name, view) in parsed.tensors() {
            let shape = view.shape().to_vec();
            let input = match view.dtype() {
                Dtype::F32 => Input::Float(Array { shape, data: words(view.data(), f32::from_le_bytes) }),
                Dtype::I64 => Input::Integer { shape, data: words(view.data(), i64::from_le_bytes) },
                other => return Err(self.unexpected(&name, &format!("{other:?}"), "float32 or int64")),
            };
            found.insert(name, input);
        }
        Ok(found)
    }

    fn unexpected(&self, name: &str, found: &str, expected: &str) -> Failure {
        Failure::Error(format!("{}: {name} is {found}; expected {expected}", self.path.display()))
    }
}

fn words<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|word| read(word.try_into().expect("N bytes"))).collect()
}

/// Write tensors to `path` under a temporary name, then rename.
pub fn save(path: &Path, arrays: &BTreeMap<String, Input>) -> Result<()> {
    let bytes: BTreeMap<&str, (Dtype, &[usize], Vec<u8>)> = arrays
        .iter()
        .map(|(name, input)| {
            let (dtype, data) = match input {
                Input::Float(array) => {
                    (Dtype::F32, array.data.iter().flat_map(|value| value.to_le_bytes()).collect())
                }
                Input::Integer { data, .. } => {
                    (Dtype::I64, data.iter().flat_map(|value| value.to_le_bytes()).collect())
                }
            };
            (name.as_str(), (dtype, input.shape(), data))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (dtype, shape, data))| Ok((*name, TensorView::new(*dtype, shape.to_vec(), data)?)))
        .collect::<Result<HashMap<_, _>>>()?;
    let part = path.with_extension("part");
    safetensors::serialize_to_file(views, None, &part)?;
    fs::rename(&part, path)?;
    Ok(())
}
