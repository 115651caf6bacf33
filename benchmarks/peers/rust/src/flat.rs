//! A record is its name and fixed fields: what one writes once the maps turn out to be slow.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rayon::prelude::*;

#[derive(Clone, Copy)]
struct Amounts {
    cpu: f64,
    memory: f64,
    gpu: f64,
}

/// Python's objects with attributes become names and fixed fields.
fn read(records: &Bound<'_, PyList>) -> PyResult<(Vec<String>, Vec<Amounts>)> {
    let mut names = Vec::with_capacity(records.len());
    let mut amounts = Vec::with_capacity(records.len());
    for record in records.iter() {
        names.push(record.getattr("name")?.extract()?);
        amounts.push(Amounts {
            cpu: record.getattr("cpu")?.extract()?,
            memory: record.getattr("memory")?.extract()?,
            gpu: record.getattr("gpu")?.extract()?,
        });
    }
    Ok((names, amounts))
}

fn most(offers: &[Amounts]) -> Amounts {
    let largest = |field: fn(&Amounts) -> f64| match offers.iter().map(field).fold(0.0, f64::max) {
        0.0 => 1.0,
        most => most,
    };
    Amounts { cpu: largest(|a| a.cpu), memory: largest(|a| a.memory), gpu: largest(|a| a.gpu) }
}

fn score(task: &Amounts, offer: &Amounts, weights: &Amounts, most: &Amounts) -> f64 {
    let mut score = 0.0 + weights.cpu * (offer.cpu - task.cpu) / most.cpu;
    score += weights.memory * (offer.memory - task.memory) / most.memory;
    score += weights.gpu * (offer.gpu - task.gpu) / most.gpu;
    score
}

fn fits(task: &Amounts, offer: &Amounts) -> bool {
    offer.cpu >= task.cpu && offer.memory >= task.memory && offer.gpu >= task.gpu
}

fn best(task: &Amounts, free: &[Amounts], weights: &Amounts, most: &Amounts) -> Option<(f64, usize)> {
    let mut best: Option<(f64, usize)> = None;
    for (position, offer) in free.iter().enumerate() {
        if !fits(task, offer) {
            continue;
        }
        let score = score(task, offer, weights, most);
        if best.map_or(true, |(smallest, _)| score < smallest) {
            best = Some((score, position));
        }
    }
    best
}

/// The scan in chunks, one task of rayon each; of equal scores the first position wins, as in the plain loop.
fn best_shared(task: &Amounts, free: &[Amounts], weights: &Amounts, most: &Amounts) -> Option<(f64, usize)> {
    let chunk = free.len().div_ceil(rayon::current_num_threads()).max(1);
    free.par_chunks(chunk)
        .enumerate()
        .filter_map(|(number, part)| best(task, part, weights, most).map(|(score, at)| (score, number * chunk + at)))
        .reduce_with(|a, b| if b.0 < a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a })
}

type Scan = fn(&Amounts, &[Amounts], &Amounts, &Amounts) -> Option<(f64, usize)>;

fn run(tasks: &[Amounts], offers: Vec<Amounts>, weights: &Amounts, scan: Scan) -> Vec<Option<usize>> {
    let most = most(&offers);
    let mut rows: Vec<usize> = (0..offers.len()).collect();
    let mut free = offers;
    tasks
        .iter()
        .map(|task| {
            let (_, position) = scan(task, &free, weights, &most)?;
            free.swap_remove(position);
            Some(rows.swap_remove(position))
        })
        .collect()
}

fn matched<'py>(
    py: Python<'py>,
    tasks: &Bound<'py, PyList>,
    offers: &Bound<'py, PyList>,
    weights: (f64, f64, f64),
    scan: Scan,
    holds_gil: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let (task_names, tasks) = read(tasks)?;
    let (offer_names, offers) = read(offers)?;
    let weights = Amounts { cpu: weights.0, memory: weights.1, gpu: weights.2 };
    let taken = if holds_gil {
        run(&tasks, offers, &weights, scan)
    } else {
        py.detach(|| run(&tasks, offers, &weights, scan))
    };
    crate::names(py, &task_names, &offer_names, &taken)
}

#[pyfunction]
pub fn match_flat<'py>(
    py: Python<'py>,
    tasks: &Bound<'py, PyList>,
    offers: &Bound<'py, PyList>,
    weights: (f64, f64, f64),
) -> PyResult<Bound<'py, PyDict>> {
    matched(py, tasks, offers, weights, best, false)
}

#[pyfunction]
pub fn match_rayon<'py>(
    py: Python<'py>,
    tasks: &Bound<'py, PyList>,
    offers: &Bound<'py, PyList>,
    weights: (f64, f64, f64),
) -> PyResult<Bound<'py, PyDict>> {
    matched(py, tasks, offers, weights, best_shared, false)
}

/// As `match_flat`, but no other Python thread runs meanwhile.
#[pyfunction]
pub fn match_flat_gil<'py>(
    py: Python<'py>,
    tasks: &Bound<'py, PyList>,
    offers: &Bound<'py, PyList>,
    weights: (f64, f64, f64),
) -> PyResult<Bound<'py, PyDict>> {
    matched(py, tasks, offers, weights, best, true)
}
