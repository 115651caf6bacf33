//! Copies files by glommio, as its authors would: an executor per core, each file streamed by direct I/O with buffers
//! of 1 MiB read ahead, writes kept in flight behind them, the target preallocated, its data synced, then renamed.
//!
//! `windlass_glommio_copy [--xxh3] SOURCE TARGET [SOURCE TARGET ...]`; prints each checksum where it is asked for.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use glommio::io::{DmaFile, DmaStreamReaderBuilder};
use glommio::{LocalExecutorBuilder, Placement, Task};
use xxhash_rust::xxh3::Xxh3;

const BUFFER: usize = 1 << 20;
const READ_AHEAD: usize = 4;
const WRITE_BEHIND: usize = 4;

type Pair = (String, String);
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn copy(source: &str, target: &str, checksum: bool) -> Result<Option<u64>> {
    let part = format!("{target}.part");
    let from = DmaFile::open(source).await?;
    let size = from.file_size().await?;
    let to = Rc::new(DmaFile::create(&part).await?);
    to.pre_allocate(size, false).await?;
    let mut reader = DmaStreamReaderBuilder::new(from)
        .with_buffer_size(BUFFER)
        .with_read_ahead(READ_AHEAD)
        .build();
    let mut hasher = checksum.then(Xxh3::new);
    let mut writes: VecDeque<Task<glommio::Result<usize, ()>>> = VecDeque::new();
    let mut position = 0;
    while position < size {
        let piece = reader.get_buffer_aligned(BUFFER as u64).await?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
        let room = to.align_up(piece.len() as u64) as usize;
        let mut buffer = to.alloc_dma_buffer(room);
        buffer.as_bytes_mut()[..piece.len()].copy_from_slice(&piece);
        buffer.as_bytes_mut()[piece.len()..].fill(0);
        if writes.len() == WRITE_BEHIND {
            writes.pop_front().unwrap().await?;
        }
        let file = to.clone();
        writes.push_back(glommio::spawn_local(async move { file.write_at(buffer, position).await }));
        position += piece.len() as u64;
    }
    for write in writes {
        write.await?;
    }
    reader.close().await?;
    to.truncate(size).await?;
    to.fdatasync().await?;
    Rc::try_unwrap(to).map_err(|_| "a write is still in flight")?.close().await?;
    std::fs::rename(&part, target)?;
    Ok(hasher.map(|hasher| hasher.digest()))
}

async fn copy_from(queue: Arc<Mutex<VecDeque<Pair>>>, checksum: bool) -> Result<()> {
    loop {
        let next = queue.lock().unwrap().pop_front();
        let Some((source, target)) = next else { return Ok(()) };
        if let Some(digest) = copy(&source, &target, checksum).await? {
            println!("{digest:016x}  {target}");
        }
    }
}

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let checksum = names.first().is_some_and(|name| name == "--xxh3");
    if checksum {
        names.remove(0);
    }
    let pairs: VecDeque<Pair> = names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let executors = cores.min(pairs.len());
    let queue = Arc::new(Mutex::new(pairs));
    let threads: Vec<_> = (0..executors)
        .map(|core| {
            let queue = queue.clone();
            LocalExecutorBuilder::new(Placement::Fixed(core))
                .spawn(move || async move { copy_from(queue, checksum).await.map_err(|fault| fault.to_string()) })
                .expect("an executor")
        })
        .collect();
    for thread in threads {
        if let Err(fault) = thread.join().expect("an executor that ends") {
            eprintln!("windlass_glommio_copy: {fault}");
            std::process::exit(1);
        }
    }
}
