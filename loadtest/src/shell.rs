//! Commands as typed into a shell.

/// Joins the words of a command into one line and quotes those that a shell would split.
pub(crate) fn typed(words: &[String]) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:,{}@%+".contains(letter);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_take_apart_are_quoted() {
        let words = ["nginx", "-g", "daemon off;", "http://{listen}/", "it's", ""].map(str::to_owned);
        assert_eq!(typed(&words), r"nginx -g 'daemon off;' http://{listen}/ 'it'\''s' ''");
    }
}
