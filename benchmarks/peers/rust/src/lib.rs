//! The loop that schedulers have today, moved to Rust as one would do it first: peers for the benchmarks.
//!
//! `match_maps` keeps a name and a map of amounts per record, `match_flat` fixed fields, `match_rayon` the fixed fields
//! with each task's scan shared among the cores. All take Python's records, release the GIL while they match (but
//! `match_flat_gil`), and answer {offer name: task name}. The float operations and their order are those of the Python loop.

mod flat;
mod maps;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Puts the names back: `taken` holds by task the row of its offer.
fn names<'py>(py: Python<'py>, tasks: &[String], offers: &[String], taken: &[Option<usize>]) -> PyResult<Bound<'py, PyDict>> {
    let placed = PyDict::new(py);
    for (task, offer) in taken.iter().enumerate() {
        if let Some(offer) = offer {
            placed.set_item(&offers[*offer], &tasks[task])?;
        }
    }
    Ok(placed)
}

#[pymodule]
fn windlass_rust_twins(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(maps::match_maps, module)?)?;
    module.add_function(wrap_pyfunction!(flat::match_flat, module)?)?;
    module.add_function(wrap_pyfunction!(flat::match_flat_gil, module)?)?;
    module.add_function(wrap_pyfunction!(flat::match_rayon, module)?)?;
    Ok(())
}
