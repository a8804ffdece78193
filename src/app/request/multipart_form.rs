//! A multipart form that is read whole: its fields, and its files in memory or in temporary files.
//!
//! Files are held in memory up to a limit for the whole form. The file that passes the limit goes to a temporary file, and
//! frees its memory. Its further content is written in pieces, and the client waits for each.

use core::fmt;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::form_fields;
use super::multipart::PartHead;
use super::parts::Part;
use super::percent::decode_form;
use crate::app::context::Context;
use crate::app::runtime::TemporaryFile;
use crate::app::shared::Shared;
use crate::error::{Error, HttpError, Result, bad_request};
use crate::memory;

/// How much of a file is written or read at once. 64 KiB: a hop to another thread is then a small part of the cost.
const PIECE_BYTES: usize = 64 * 1024;

/// The fields and the files of a multipart form.
///
/// ```
/// use squall::prelude::*;
/// # use squall::testing::TestClient;
///
/// async fn receive(form: MultipartForm) -> Result<String> {
///     let title = form.field("title").or_status(400)?;
///     let photo = form.file("photo").or_status(400)?;
///     Ok(format!("{title}: {} bytes of {}", photo.len(), photo.file_name()))
/// }
///
/// # let client = TestClient::new(|| Application::new().post("/", receive))?;
/// # let request = client.post("/").form_field("title", "Me");
/// # let request = request.form_file("photo", "me.png", "image/png", "hello");
/// # assert_eq!(request.send()?.text(), "Me: 5 bytes of me.png");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MultipartForm {
    fields: Vec<(String, String)>,
    files: Vec<UploadedFile>,
}

/// A file of a [`MultipartForm`], in memory or in a temporary file that ends with this value.
pub struct UploadedFile {
    head: PartHead,
    bytes: u64,
    content: FileContent,
    /// How much [`chunk`](Self::chunk) has returned.
    position: u64,
}

/// Where the content of a file is.
enum FileContent {
    Memory(Bytes),
    Disk(Rc<dyn TemporaryFile>),
}

impl Context {
    /// Reads the content as a multipart form, whole; its type must be `multipart/form-data`.
    ///
    /// Files beyond [`max_held_file_bytes`](crate::Application::max_held_file_bytes) go to temporary files, which have
    /// no name and end with the form. The form takes the content, so that [`body`](Self::body) and its like fail from
    /// here on.
    ///
    /// # Errors
    ///
    /// As [`multipart`](Self::multipart) and [`Multipart::next_part`](crate::Multipart::next_part). 400, naming the
    /// field, if a field is not UTF-8. 507 if the disk is full, 503 if too many writes wait for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the parts read so far, and the content is taken.
    pub async fn multipart_form(&mut self) -> Result<MultipartForm> {
        let held_bytes_max = self.shared.limits().max_held_file_bytes;
        let shared = Rc::clone(&self.shared);
        let mut parts = self.multipart()?;
        let mut form = MultipartForm::default();
        let mut held_bytes = 0;
        while let Some(mut part) = parts.next_part().await? {
            if part.is_file() {
                let file = read_file(&mut part, held_bytes_max - held_bytes, &shared).await?;
                if let FileContent::Memory(content) = &file.content {
                    held_bytes += content.len();
                }
                form.files.push(file);
            } else {
                let text = part.text().await?;
                form.fields.push((part.name().to_owned(), text));
            }
        }
        Ok(form)
    }
}

/// Reads a file, of which memory holds at most `held_bytes_max` bytes beside one piece.
async fn read_file(part: &mut Part<'_>, held_bytes_max: usize, shared: &Shared) -> Result<UploadedFile> {
    let head = part.head().clone();
    let mut held = Vec::new();
    let mut disk: Option<Rc<dyn TemporaryFile>> = None;
    let mut bytes = 0_u64;
    while let Some(piece) = part.chunk().await? {
        bytes = bytes.saturating_add(piece.len() as u64);
        let room = if disk.is_some() { PIECE_BYTES } else { held_bytes_max };
        if held.len() + piece.len() > room {
            let file = match disk.take() {
                Some(file) => file,
                None => shared.runtime()?.temporary_file().await.map_err(disk_error)?,
            };
            if !held.is_empty() {
                file.append(Bytes::from(core::mem::take(&mut held)))
                    .await
                    .map_err(disk_error)?;
            }
            disk = Some(file);
        }
        memory::append(&mut held, &piece)?;
    }
    let content = match disk {
        None => FileContent::Memory(Bytes::from(held)),
        Some(file) => {
            file.append(Bytes::from(held)).await.map_err(disk_error)?;
            FileContent::Disk(file)
        }
    };
    Ok(UploadedFile {
        head,
        bytes,
        content,
        position: 0,
    })
}

/// The error of a temporary file: 507 on a full disk, 503 where too much work waits, otherwise 500.
fn disk_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => HttpError::new(507)
            .with_message("the server has no room for the file")
            .with_source(error)
            .into(),
        io::ErrorKind::ResourceBusy => Error::from(error).with_status(503),
        _ => error.into(),
    }
}

impl MultipartForm {
    /// Returns the names and values of the fields without files, in order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of a field, or its last value if several fields have this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields().filter(|(found, _)| *found == name);
        values.next_back().map(|(_, value)| value)
    }

    /// Decodes the fields into a `T`, as [`Context::form`] does.
    ///
    /// # Errors
    ///
    /// 400, naming the field, if the fields do not fit `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let mut encoded = Vec::new();
        for (name, value) in self.fields() {
            form_fields::append_pair(&mut encoded, name, value.as_bytes())?;
        }
        decode_form(&encoded, usize::MAX).map_err(|error| bad_request(format!("could not decode the form: {error}")))
    }

    /// Returns the first file of a field.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&UploadedFile> {
        self.files.iter().find(|file| file.name() == name)
    }

    /// Returns all files, in order.
    #[must_use]
    pub fn files(&self) -> &[UploadedFile] {
        &self.files
    }

    /// Takes all files out of the form, in order.
    #[must_use]
    pub fn into_files(self) -> Vec<UploadedFile> {
        self.files
    }
}

impl UploadedFile {
    /// Returns the name of the field.
    #[must_use]
    pub fn name(&self) -> &str {
        self.head.name()
    }

    /// Returns the file name as the client sent it.
    ///
    /// It may have directories, such as `../a`: never use it as a path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.head.file_name().unwrap_or_default()
    }

    /// Returns the `Content-Type` of the file, which the client chose.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns the content if it is in memory; `None` if it is in a temporary file.
    #[must_use]
    pub fn held(&self) -> Option<&Bytes> {
        match &self.content {
            FileContent::Memory(content) => Some(content),
            FileContent::Disk(_) => None,
        }
    }

    /// Reads the next piece of the file, of at most 64 KiB; `None` at its end.
    ///
    /// A temporary file is read off the shard's thread.
    ///
    /// # Errors
    ///
    /// 500 if the file cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call returns the piece.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let piece = match &self.content {
            FileContent::Memory(content) => {
                let start = usize::try_from(self.position).unwrap_or(usize::MAX).min(content.len());
                content.slice(start..content.len().min(start.saturating_add(PIECE_BYTES)))
            }
            FileContent::Disk(file) => file.read(self.position, PIECE_BYTES).await.map_err(disk_error)?,
        };
        self.position = self.position.saturating_add(piece.len() as u64);
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Makes [`chunk`](Self::chunk) begin at the start of the file again.
    pub fn rewind(&mut self) {
        self.position = 0;
    }
}

impl fmt::Debug for UploadedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UploadedFile")
            .field("head", &self.head)
            .field("bytes", &self.bytes)
            .field("is_held", &self.held().is_some())
            .finish()
    }
}
