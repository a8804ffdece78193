//! A multipart form as browsers write it (HTML, "multipart/form-data encoding algorithm"; RFC 7578).

/// The fields and files of a form, in their order.
#[derive(Debug, Default)]
pub(super) struct FormParts(Vec<FormPart>);

#[derive(Debug)]
pub(super) struct FormPart {
    pub(super) name: String,
    /// The name and the media type of a file; `None` for a field.
    pub(super) file: Option<(String, String)>,
    pub(super) content: Vec<u8>,
}

impl FormParts {
    pub(super) fn push(&mut self, part: FormPart) {
        self.0.push(part);
    }

    /// Returns the media type with the boundary, and the content.
    pub(super) fn encode(&self) -> (String, Vec<u8>) {
        let boundary = self.boundary();
        let mut content = Vec::new();
        for FormPart {
            name,
            file,
            content: value,
        } in &self.0
        {
            let name = escaped(name);
            let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
            if let Some((file_name, media_type)) = file {
                let file_name = escaped(file_name);
                head += &format!("; filename=\"{file_name}\"\r\nContent-Type: {media_type}");
            }
            content.extend_from_slice(head.as_bytes());
            content.extend_from_slice(b"\r\n\r\n");
            content.extend_from_slice(value);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), content)
    }

    /// Returns a boundary that no part contains.
    fn boundary(&self) -> String {
        let is_free = |boundary: &String| {
            let mut parts = self.0.iter();
            parts.all(|part| memchr::memmem::find(&part.content, boundary.as_bytes()).is_none())
        };
        // Each part of finite length contains finitely many of them.
        let mut boundaries = (0_u64..).map(|number| format!("squall-testing-{number}"));
        boundaries.find(is_free).unwrap_or_default()
    }
}

/// Escapes what would end a quoted name.
fn escaped(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use super::{FormPart, FormParts};

    /// A name, the filename with its media type, and the content.
    type Part<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a str);

    fn form(parts: &[Part<'_>]) -> (String, String) {
        let mut form = FormParts::default();
        for (name, file, content) in parts {
            form.push(FormPart {
                name: (*name).to_owned(),
                file: file.map(|(name, media_type)| (name.to_owned(), media_type.to_owned())),
                content: content.as_bytes().to_vec(),
            });
        }
        let (media_type, content) = form.encode();
        (media_type, String::from_utf8(content).unwrap())
    }

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        let (media_type, content) = form(&[
            ("title", None, "Two\r\nlines"),
            ("a \"photo\"", Some(("cat\n.png", "image/png")), "png"),
        ]);
        assert_eq!(media_type, "multipart/form-data; boundary=squall-testing-0");
        assert_eq!(
            content,
            "--squall-testing-0\r\n\
             Content-Disposition: form-data; name=\"title\"\r\n\r\n\
             Two\r\nlines\r\n\
             --squall-testing-0\r\n\
             Content-Disposition: form-data; name=\"a %22photo%22\"; filename=\"cat%0A.png\"\r\n\
             Content-Type: image/png\r\n\r\n\
             png\r\n\
             --squall-testing-0--\r\n"
        );
    }

    #[test]
    fn the_boundary_is_one_that_no_part_contains() {
        let (media_type, content) = form(&[("a", None, "--squall-testing-0"), ("b", None, "squall-testing-1")]);
        assert!(media_type.ends_with("=squall-testing-2"), "{media_type}");
        assert!(content.ends_with("--squall-testing-2--\r\n"), "{content}");
    }
}
