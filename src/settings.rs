//! Settings: one declaration gives the field, its default, its setter, its flag and its help text.
//!
//! A layer declares its settings where it uses them, and knows no command line. [`settings!`] makes the struct, and the
//! server reads flags by the table in [`Settings::all`]. A setting has one name: `max_header_bytes` is the field, the
//! setter and, with dashes, the flag.

use core::fmt::Display;
use core::str::FromStr;
use core::time::Duration;

/// A struct made by [`settings!`].
pub(crate) trait Settings: Default + 'static {
    /// Returns the settings that have a flag.
    fn all() -> Vec<Setting<Self>>;

    /// Returns the names of all settings.
    #[cfg(test)]
    fn names() -> &'static [&'static str];

    /// Returns a sentence for each setting with an invalid value.
    fn flaws(&self) -> impl Iterator<Item = String> {
        let named = |setting: Setting<Self>| {
            let why = (setting.flaw)(self)?;
            Some(format!("{} (--{}) {why}", setting.name, setting.flag()))
        };
        Self::all().into_iter().filter_map(named)
    }
}

/// A setting that a flag can set.
pub(crate) struct Setting<S> {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static [&'static str],
    /// The name of the value in `--help`; `None` if the flag has no value.
    pub(crate) value_name: Option<&'static str>,
    /// The default as text; `None` if the server chooses it.
    pub(crate) default: Option<String>,
    pub(crate) read: fn(&mut S, &str) -> Result<(), String>,
    /// Returns why the value is invalid.
    pub(crate) flaw: fn(&S) -> Option<String>,
}

impl<S> Setting<S> {
    /// Returns the name of the flag, without `--`.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns the first paragraph of the documentation, without its full stop.
    pub(crate) fn help(&self) -> String {
        let lines: Vec<&str> = self.docs.iter().map(|line| line.trim()).collect();
        let paragraph = lines.split(|line| line.is_empty()).next().unwrap_or_default();
        paragraph.join(" ").trim_end_matches('.').to_owned()
    }
}

/// Declares a struct of settings.
///
/// A setting is `[Kind] name: Type = default,` below its documentation, whose first paragraph is the help text.
/// `[Kind]` gives it a flag. Without a default the field is an `Option`, and the setter takes the value in it.
///
/// `set by setters through field` defines the macro `setters`. It puts the same setters on a struct whose method `field`
/// returns these settings.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $visibility:vis struct $Settings:ident, set by $setters:ident through $field:ident {
            $($declared:tt)*
        }
    ) => {
        $crate::settings::settings! {
            $(#[$about])*
            $visibility struct $Settings { $($declared)* }
        }
        $crate::settings::settings! { @setters $setters $field { $($declared)* } }
    };
    (@setters $setters:ident $field:ident {
        $($(#[doc = $doc:literal])+ $([$Kind:ty])? $name:ident: $type:ty $(= $default:expr)?,)*
    }) => {
        /// The setters of these settings, for a struct that holds them.
        #[allow(unused_macros, reason = "without the server, the holder is missing")]
        macro_rules! $setters {
            () => {
                $(
                    $(#[doc = $doc])+
                    pub fn $name(mut self, $name: $type) -> Self {
                        self.$field().$name = $crate::settings::stored!($name $(, $default)?);
                        self
                    }
                )*
            };
        }
        #[allow(unused_imports, reason = "without the server, the holder is missing")]
        pub(crate) use $setters;
    };
    (
        $(#[$about:meta])*
        $visibility:vis struct $Settings:ident {
            $($(#[doc = $doc:literal])+ $([$Kind:ty])? $name:ident: $type:ty $(= $default:expr)?,)*
        }
    ) => {
        $(#[$about])*
        $visibility struct $Settings {
            $($(#[doc = $doc])+ pub(crate) $name: $crate::settings::field_type!($type $(, $default)?),)*
        }

        impl Default for $Settings {
            fn default() -> Self {
                Self { $($name: $crate::settings::default_value!($($default)?),)* }
            }
        }

        #[allow(dead_code, reason = "the holder of private settings has setters of its own")]
        impl $Settings {
            $(
                $(#[doc = $doc])+
                $visibility fn $name(mut self, $name: $type) -> Self {
                    self.$name = $crate::settings::stored!($name $(, $default)?);
                    self
                }
            )*
        }

        impl $crate::settings::Settings for $Settings {
            fn all() -> Vec<$crate::settings::Setting<Self>> {
                #[allow(unused_mut, reason = "settings without flags add nothing")]
                let mut all = Vec::new();
                $($crate::settings::flag!(all, $name, [$($Kind)?], $type, [$($default)?], [$($doc),+]);)*
                all
            }

            #[cfg(test)]
            fn names() -> &'static [&'static str] {
                &[$(stringify!($name)),*]
            }
        }
    };
}

/// The type of a field: that of a setting with a default, or an `Option` of it.
macro_rules! field_type {
    ($type:ty, $default:expr) => { $type };
    ($type:ty) => { Option<$type> };
}

macro_rules! default_value {
    ($default:expr) => {
        $default
    };
    () => {
        None
    };
}

macro_rules! stored {
    ($value:expr, $default:expr) => {
        $value
    };
    ($value:expr) => {
        Some($value)
    };
}

/// Adds a setting to the table if it has a kind.
macro_rules! flag {
    ($all:ident, $name:ident, [], $type:ty, [$($default:expr)?], $docs:tt) => {};
    ($all:ident, $name:ident, [$Kind:ty], $type:ty, [$($default:expr)?], [$($doc:literal),+]) => {
        $all.push($crate::settings::Setting {
            name: stringify!($name),
            docs: &[$($doc),+],
            value_name: <$Kind as $crate::settings::Kind<$type>>::VALUE_NAME,
            default: [$(<$Kind as $crate::settings::Kind<$type>>::show(&$default))?].into_iter().next(),
            read: |settings: &mut Self, text| {
                let read = <$Kind as $crate::settings::Kind<$type>>::read(text)?;
                settings.$name = $crate::settings::stored!(read $(, $default)?);
                Ok(())
            },
            flaw: |settings| $crate::settings::flaw!(settings.$name, $Kind, $type $(, $default)?),
        })
    };
}

macro_rules! flaw {
    ($value:expr, $Kind:ty, $type:ty, $default:expr) => {
        <$Kind as $crate::settings::Kind<$type>>::flaw(&$value)
    };
    ($value:expr, $Kind:ty, $type:ty) => {
        $value.as_ref().and_then(<$Kind as $crate::settings::Kind<$type>>::flaw)
    };
}

pub(crate) use {default_value, field_type, flag, flaw, settings, stored};

/// How the text of a flag becomes a value.
pub(crate) trait Kind<T> {
    /// The name of the value in `--help`; `None` for a flag without a value.
    const VALUE_NAME: Option<&'static str>;

    /// Reads a value.
    fn read(text: &str) -> Result<T, String>;

    /// Writes a default as [`read`](Self::read) reads it.
    fn show(_: &T) -> String {
        String::new()
    }

    /// Returns why a value is invalid, as the rest of a sentence.
    fn flaw(_: &T) -> Option<String> {
        None
    }
}

/// A flag without a value, which sets `true`.
pub(crate) enum Switch {}

impl Kind<bool> for Switch {
    const VALUE_NAME: Option<&'static str> = None;

    fn read(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
    }
}

/// A number of things.
pub(crate) enum Count {}

impl<T: FromStr<Err: Display> + Display> Kind<T> for Count {
    const VALUE_NAME: Option<&'static str> = Some("N");

    fn read(text: &str) -> Result<T, String> {
        text.parse()
            .map_err(|error| format!("invalid number {text:?}: {error}"))
    }

    fn show(value: &T) -> String {
        value.to_string()
    }
}

/// A number of bytes, with an optional unit of 1024 bytes (K), 1024 K (M) or 1024 M (G).
pub(crate) enum Bytes {}

impl<T: TryFrom<u64> + Display> Kind<T> for Bytes {
    const VALUE_NAME: Option<&'static str> = Some("BYTES");

    fn read(text: &str) -> Result<T, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let scale: u64 = match text.get(digits.len()..).unwrap_or_default() {
            "" | "B" => 1,
            "K" | "k" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            unit => {
                return Err(format!(
                    "unknown unit {unit:?}; use K, M or G, which are powers of 1024"
                ));
            }
        };
        let number: u64 = digits
            .parse()
            .map_err(|_| format!("invalid number {digits:?}; write 65536, 64K or 10M"))?;
        let bytes = number.checked_mul(scale).and_then(|bytes| T::try_from(bytes).ok());
        bytes.ok_or_else(|| format!("{text:?} is out of range"))
    }

    fn show(value: &T) -> String {
        value.to_string()
    }
}

/// A duration as an operator types it: `2`, `0.5`, `250ms`, `50us`, `2m`.
pub(crate) enum Time {}

impl Kind<Duration> for Time {
    const VALUE_NAME: Option<&'static str> = Some("TIME");

    fn read(text: &str) -> Result<Duration, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let scale = match text.get(digits.len()..).unwrap_or_default() {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "m" => 60.0,
            unit => return Err(format!("unknown unit {unit:?}; use s, ms, us or m")),
        };
        let number: f64 = digits
            .parse()
            .map_err(|_| format!("invalid number {digits:?}; write 2, 0.5, 250ms, 50us or 2m"))?;
        Duration::try_from_secs_f64(number * scale)
            .map_err(|_| format!("{text:?} is out of range; write a time of 0 or more"))
    }

    fn show(value: &Duration) -> String {
        format!("{}s", value.as_secs_f64())
    }
}

/// A [`Count`] of at least `LEAST`: less would refuse everything that it limits.
pub(crate) enum CountFrom<const LEAST: u64> {}

/// A [`Count`] of more than 0.
pub(crate) type PositiveCount = CountFrom<1>;

/// [`Bytes`] of at least `LEAST`: less would refuse everything that they limit.
pub(crate) enum BytesFrom<const LEAST: u64> {}

/// [`Bytes`] of more than 0.
pub(crate) type PositiveBytes = BytesFrom<1>;

/// Declares kinds that read as another, and reject less than `LEAST`.
macro_rules! at_least {
    ($($From:ident: $Kind:ident;)*) => {
        $(
            impl<T: Copy, const LEAST: u64> Kind<T> for $From<LEAST>
            where
                $Kind: Kind<T>,
                u64: TryFrom<T>,
            {
                const VALUE_NAME: Option<&'static str> = <$Kind as Kind<T>>::VALUE_NAME;

                fn read(text: &str) -> Result<T, String> {
                    $Kind::read(text)
                }

                fn show(value: &T) -> String {
                    $Kind::show(value)
                }

                fn flaw(value: &T) -> Option<String> {
                    let is_less = u64::try_from(*value).is_ok_and(|value| value < LEAST);
                    let least = match LEAST {
                        1 => "more than 0".to_owned(),
                        least => format!("at least {least}"),
                    };
                    is_less.then(|| format!("must be {least}; less would refuse everything that it limits"))
                }
            }
        )*
    };
}

at_least! {
    CountFrom: Count;
    BytesFrom: Bytes;
}

/// A [`Time`] of more than 0.
pub(crate) enum PositiveTime {}

impl Kind<Duration> for PositiveTime {
    const VALUE_NAME: Option<&'static str> = <Time as Kind<Duration>>::VALUE_NAME;

    fn read(text: &str) -> Result<Duration, String> {
        Time::read(text)
    }

    fn show(value: &Duration) -> String {
        Time::show(value)
    }

    fn flaw(value: &Duration) -> Option<String> {
        let why = "must be more than 0, or every wait would end at once; for no limit in practice, set a week";
        value.is_zero().then(|| why.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, BytesFrom, Kind, Settings, Time};
    use std::time::Duration;

    super::settings! {
        /// Settings of a test.
        #[derive(Debug, PartialEq, Eq)]
        pub(crate) struct Example {
            /// Most bytes
            /// of a page.
            ///
            /// 2 KiB: a reason.
            [Bytes] max_page_bytes: u32 = 2048,
            /// Longest wait; by default as long as a page.
            [Time] page_timeout: Duration,
            /// Most pages, without a flag.
            max_pages: u8 = 3,
        }
    }

    #[test]
    fn one_declaration_gives_field_setter_default_flag_and_help() {
        let [bytes, timeout] = &Example::all()[..] else {
            panic!("two settings have a kind");
        };
        assert_eq!(
            (bytes.flag().as_str(), bytes.help().as_str()),
            ("max-page-bytes", "Most bytes of a page")
        );
        assert_eq!((&bytes.default, &timeout.default), (&Some("2048".to_owned()), &None));
        let mut read = Example::default().max_pages(9);
        assert_eq!(read.page_timeout, None);
        (bytes.read)(&mut read, "1K").unwrap();
        (timeout.read)(&mut read, "50ms").unwrap();
        let set = Example::default()
            .max_page_bytes(1024)
            .page_timeout(Duration::from_millis(50))
            .max_pages(9);
        assert_eq!(read, set);
        (bytes.read)(&mut read, "5G").unwrap_err();
        assert_eq!(Example::names(), ["max_page_bytes", "page_timeout", "max_pages"]);
    }

    #[test]
    fn a_value_below_the_least_is_refused_with_the_least() {
        let flaw = <BytesFrom<256> as Kind<usize>>::flaw;
        assert_eq!(flaw(&256), None);
        assert!(flaw(&255).unwrap().starts_with("must be at least 256; "));
        let flaw = <BytesFrom<1> as Kind<u8>>::flaw;
        assert_eq!(flaw(&1), None);
        assert!(flaw(&0).unwrap().starts_with("must be more than 0; "));
    }

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, expected) in [
            ("2", Duration::from_secs(2)),
            ("0.5", Duration::from_millis(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("250ms", Duration::from_millis(250)),
            ("50us", Duration::from_micros(50)),
            ("2m", Duration::from_secs(120)),
        ] {
            assert_eq!(Time::read(text), Ok(expected), "{text}");
        }
        for text in ["", "x", "-1", "5 s", "1h", "1e400", "NaN"] {
            Time::read(text).unwrap_err();
        }
    }

    #[test]
    fn bytes_may_have_a_unit_that_is_a_power_of_1024() {
        for (text, expected) in [
            ("0", 0),
            ("65536", 65536),
            ("64K", 65536),
            ("64KiB", 65536),
            ("10M", 10 << 20),
            ("2G", 2_u64 << 30),
        ] {
            assert_eq!(Bytes::read(text), Ok(expected), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "10MB", "10 M", "99999999999G"] {
            <Bytes as Kind<u64>>::read(text).unwrap_err();
        }
        <Bytes as Kind<u32>>::read("4G").unwrap_err();
    }
}
