//! Which media types are worth compressing.
//!
//! Types that are compressed already are excluded, and so are those that may be. Those are bytes without a type, and
//! every `image`, `audio` and `video` but the few that are text or plain samples. Everything else is compressed.

/// Applications whose files are compressed, or of which nothing is known.
const COMPRESSED: [&[u8]; 24] = [
    b"application/epub+zip",
    b"application/gzip",
    b"application/java-archive",
    b"application/octet-stream",
    b"application/pdf",
    b"application/vnd.android.package-archive",
    b"application/vnd.ms-cab-compressed",
    b"application/vnd.rar",
    b"application/x-7z-compressed",
    b"application/x-br",
    b"application/x-bzip",
    b"application/x-bzip2",
    b"application/x-compress",
    b"application/x-gzip",
    b"application/x-lzip",
    b"application/x-rar-compressed",
    b"application/x-xz",
    b"application/x-zip-compressed",
    b"application/zip",
    b"application/zstd",
    b"application/grpc",
    b"font/woff",
    b"font/woff2",
    b"application/font-woff",
];

/// Images and sounds that are not compressed.
const UNCOMPRESSED: [&[u8]; 8] = [
    b"audio/midi",
    b"audio/wav",
    b"image/bmp",
    b"image/svg+xml",
    b"image/vnd.microsoft.icon",
    b"image/x-icon",
    b"image/x-ms-bmp",
    b"image/x-portable-pixmap",
];

/// Whether content of this type usually becomes smaller.
pub(super) fn is_compressible(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let essence = essence.as_slice();
    let is_media = [&b"image/"[..], b"audio/", b"video/"]
        .iter()
        .any(|kind| essence.starts_with(kind));
    let is_office = essence.starts_with(b"application/vnd.openxmlformats-")
        || essence.starts_with(b"application/vnd.oasis.opendocument.");
    if essence.is_empty() || is_office || essence.ends_with(b"+zip") || essence.ends_with(b"+gzip") {
        false
    } else if is_media {
        UNCOMPRESSED.contains(&essence)
    } else {
        // A stream of events lives for hours and sends little: a compressor for each would cost more than it saves.
        !COMPRESSED.contains(&essence) && essence != b"text/event-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::is_compressible;

    #[test]
    fn text_and_data_are_compressible_and_compressed_files_are_not() {
        for text in [
            "text/plain",
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "application/json",
            "application/ld+json",
            "application/javascript",
            "application/wasm",
            "application/x-ndjson",
            "image/svg+xml",
            "font/ttf",
        ] {
            assert!(is_compressible(text.as_bytes()), "{text}");
        }
        for compressed in [
            "",
            "image/png",
            "IMAGE/JPEG",
            "video/mp4",
            "audio/mpeg",
            "application/zip",
            "application/gzip; x=y",
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/x+zip",
            "font/woff2",
            "text/event-stream",
        ] {
            assert!(!is_compressible(compressed.as_bytes()), "{compressed}");
        }
    }
}
