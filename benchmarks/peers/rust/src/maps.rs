//! A record is its name and a map of amounts, as schedulers hold it.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

struct Record {
    name: String,
    resources: HashMap<String, f64>,
}

fn read(records: &Bound<'_, PyList>) -> PyResult<Vec<Record>> {
    records
        .iter()
        .map(|record| {
            Ok(Record {
                name: record.get_item("name")?.extract()?,
                resources: record.get_item("resources")?.extract()?,
            })
        })
        .collect()
}

fn amount(record: &Record, dimension: &str) -> f64 {
    record.resources.get(dimension).copied().unwrap_or(0.0)
}

fn best(task: &Record, free: &[&Record], weights: &[(String, f64)], most: &[f64]) -> Option<usize> {
    let wanted: Vec<f64> = weights.iter().map(|(dimension, _)| amount(task, dimension)).collect();
    let mut best = None;
    let mut best_score = f64::INFINITY;
    'offers: for (position, offer) in free.iter().enumerate() {
        let mut score = 0.0;
        for (((dimension, weight), most), wanted) in weights.iter().zip(most).zip(&wanted) {
            let left = amount(offer, dimension) - wanted;
            if left < 0.0 {
                continue 'offers;
            }
            score += weight * left / most;
        }
        if score < best_score {
            best_score = score;
            best = Some(position);
        }
    }
    best
}

fn run(tasks: &[Record], offers: &[Record], weights: &[(String, f64)]) -> Vec<Option<usize>> {
    let most: Vec<f64> = weights
        .iter()
        .map(|(dimension, _)| offers.iter().map(|offer| amount(offer, dimension)).fold(0.0, f64::max))
        .map(|most| if most == 0.0 { 1.0 } else { most })
        .collect();
    let mut free: Vec<&Record> = offers.iter().collect();
    let mut rows: Vec<usize> = (0..offers.len()).collect();
    tasks
        .iter()
        .map(|task| {
            let position = best(task, &free, weights, &most)?;
            free.swap_remove(position);
            Some(rows.swap_remove(position))
        })
        .collect()
}

#[pyfunction]
pub fn match_maps<'py>(
    py: Python<'py>,
    tasks: &Bound<'py, PyList>,
    offers: &Bound<'py, PyList>,
    weights: Vec<(String, f64)>,
) -> PyResult<Bound<'py, PyDict>> {
    let tasks = read(tasks)?;
    let offers = read(offers)?;
    let taken = py.detach(|| run(&tasks, &offers, &weights));
    let task_names: Vec<String> = tasks.into_iter().map(|task| task.name).collect();
    let offer_names: Vec<String> = offers.into_iter().map(|offer| offer.name).collect();
    crate::names(py, &task_names, &offer_names, &taken)
}
