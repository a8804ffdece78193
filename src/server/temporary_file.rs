//! Temporary files for the content of requests beyond memory.
//!
//! A file has no name from the start (`O_TMPFILE`), so that nothing stays behind, even if the process is killed. A
//! filesystem without such files gets one whose name is removed at once. Every operation runs on the pool for blocking work,
//! and so does the close, which frees the blocks.

use std::env::temp_dir;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use squall_shards::{BlockingError, BlockingPool};

use crate::app::TemporaryFile;

/// The permissions of a temporary file: its owner reads and writes.
const MODE: u32 = 0o600;

/// A boxed future of an operation.
type Operation<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// A file without a name, in the folder that `TMPDIR` names, else in `/tmp`.
struct UnnamedFile {
    /// `None` only while the value is dropped.
    file: Option<Arc<File>>,
    pool: BlockingPool,
}

/// Creates a temporary file.
pub(super) fn create(pool: &BlockingPool) -> Operation<Rc<dyn TemporaryFile>> {
    let pool = pool.clone();
    Box::pin(async move {
        let file = run(&pool, || open(&temp_dir())).await?;
        let file: Rc<dyn TemporaryFile> = Rc::new(UnnamedFile {
            file: Some(Arc::new(file)),
            pool,
        });
        Ok(file)
    })
}

/// Runs an operation on the pool.
async fn run<T: Send + 'static>(
    pool: &BlockingPool,
    operation: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    pool.spawn(operation).await.map_err(|error| match error {
        BlockingError::PoolFull { .. } => io::Error::new(io::ErrorKind::ResourceBusy, error),
        error => io::Error::other(error),
    })?
}

fn open(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(MODE)) {
        Ok(file) => Ok(File::from(file)),
        // A filesystem or a kernel that lacks the flag.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => open_and_remove(folder),
        Err(error) => Err(error.into()),
    }
}

/// Creates a file under a name that no other process guesses, and removes the name.
fn open_and_remove(folder: &Path) -> io::Result<File> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = folder.join(format!("squall-{:032x}", u128::from_ne_bytes(random)));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(MODE).open(&path)?;
    remove_file(&path)?;
    Ok(file)
}

impl UnnamedFile {
    /// Runs an operation on the file.
    fn operate<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let (file, pool) = (self.file.clone(), self.pool.clone());
        Box::pin(async move {
            let operation = move || operation(&*file.ok_or(io::ErrorKind::NotFound)?);
            run(&pool, operation).await
        })
    }
}

impl TemporaryFile for UnnamedFile {
    fn append(&self, bytes: Bytes) -> Operation<()> {
        self.operate(move |mut file| file.write_all(&bytes))
    }

    fn read(&self, offset: u64, bytes_max: usize) -> Operation<Bytes> {
        self.operate(move |file| {
            let mut bytes = vec![0; bytes_max];
            let length = file.read_at(&mut bytes, offset)?;
            bytes.truncate(length);
            Ok(Bytes::from(bytes))
        })
    }
}

impl Drop for UnnamedFile {
    fn drop(&mut self) {
        let file = self.file.take();
        // A refused closure is dropped here, and closes the file on this thread.
        drop(self.pool.spawn(move || drop(file)));
    }
}

#[cfg(test)]
mod tests {
    use super::{open, open_and_remove};
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_has_no_name_and_holds_what_was_written() {
        let folder = folder("unnamed");
        for open in [open, open_and_remove] {
            let mut file = open(&folder).unwrap();
            file.write_all(b"hello").unwrap();
            let mut read = [0; 5];
            file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!(&read, b"hello");
            let metadata = file.metadata().unwrap();
            assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        }
        fs::remove_dir(folder).unwrap();
    }
}
