//! Arguments and bodies: queries, forms, uploads, compressed content, JSON.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use squall::prelude::*;
use squall::routing::post;

/// The flags of these routes.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Flags {
    /// Most bytes of content in a request to /form and /upload
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024)]
    max_upload_bytes: u64,
    /// Most bytes of content in a request to /upload/stream
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024 * 1024)]
    max_stream_bytes: u64,
}

/// The pairs of a query or a form.
type Pairs = Vec<(String, String)>;

/// The values of each name, both in the order received.
#[derive(Default)]
struct Grouped(Vec<(String, Vec<String>)>);

impl From<Pairs> for Grouped {
    fn from(pairs: Pairs) -> Self {
        let mut places = HashMap::new();
        let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in pairs {
            let place = match places.entry(name) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    grouped.push((new.key().clone(), Vec::new()));
                    *new.insert(grouped.len() - 1)
                }
            };
            if let Some((_, values)) = grouped.get_mut(place) {
                values.push(value);
            }
        }
        Self(grouped)
    }
}

impl Serialize for Grouped {
    fn serialize<S: Serializer>(&self, serializer: S) -> core::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

/// The length and the hash of content that comes in pieces.
#[derive(Default)]
struct Sum {
    bytes: u64,
    hash: Sha256,
}

/// The same as JSON.
#[derive(Serialize)]
struct Summed {
    bytes: u64,
    sha256: String,
}

impl Sum {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.hash.update(piece);
    }

    fn end(self) -> Summed {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Summed {
            bytes: self.bytes,
            sha256,
        }
    }
}

/// One file of an upload.
#[derive(Serialize)]
struct File {
    field: String,
    filename: String,
    content_type: String,
    #[serde(flatten)]
    sum: Summed,
}

impl File {
    fn new(field: &str, filename: &str, content_type: Option<&str>, sum: Sum) -> Self {
        Self {
            field: field.to_owned(),
            filename: filename.to_owned(),
            content_type: content_type.unwrap_or("application/unknown").to_owned(),
            sum: sum.end(),
        }
    }
}

/// A whole upload.
#[derive(Serialize)]
struct Upload {
    fields: Grouped,
    files: Vec<File>,
}

/// The content of `/json-in`.
#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    count: u32,
}

async fn query(Query(pairs): Query<Pairs>) -> Json<Grouped> {
    Json(pairs.into())
}

async fn form(Form(pairs): Form<Pairs>) -> Json<Grouped> {
    Json(pairs.into())
}

/// Reads a form whole; large files wait in temporary files.
async fn upload(form: MultipartForm) -> Result<Json<Upload>> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let fields: Pairs = form.fields().map(owned).collect();
    let mut files = Vec::new();
    for mut file in form.into_files() {
        let mut sum = Sum::default();
        while let Some(chunk) = file.chunk().await? {
            sum.add(&chunk);
        }
        files.push(File::new(file.name(), file.file_name(), file.content_type(), sum));
    }
    Ok(Json(Upload {
        fields: fields.into(),
        files,
    }))
}

/// Reads a form as it arrives.
async fn stream(mut form: Multipart) -> Result<Json<Upload>> {
    let (mut fields, mut files) = (Pairs::new(), Vec::new());
    while let Some(mut part) = form.next_part().await? {
        let Some(filename) = part.file_name().map(str::to_owned) else {
            let value = part.text().await?;
            fields.push((part.name().to_owned(), value));
            continue;
        };
        let mut sum = Sum::default();
        while let Some(chunk) = part.chunk().await? {
            sum.add(&chunk);
        }
        files.push(File::new(part.name(), &filename, part.content_type(), sum));
    }
    Ok(Json(Upload {
        fields: fields.into(),
        files,
    }))
}

async fn inflate(cx: &mut Context) -> Result<Json<Summed>> {
    let mut sum = Sum::default();
    while let Some(chunk) = cx.next_chunk().await? {
        sum.add(&chunk);
    }
    Ok(Json(sum.end()))
}

async fn json(item: Json<Item>) -> Json<Item> {
    item
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application, flags: &Flags) -> Application {
    application
        .get("/query", query)
        .route("/form", post(form).max_body_bytes(flags.max_upload_bytes))
        .route("/upload", post(upload).max_body_bytes(flags.max_upload_bytes))
        .route("/upload/stream", post(stream).max_body_bytes(flags.max_stream_bytes))
        .route("/inflate", post(inflate).decompress())
        .post("/json-in", json)
}
