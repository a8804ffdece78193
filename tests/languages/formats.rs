//! Dates, numbers and lists, from the data of ICU4X.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use squall::prelude::*;
use squall::views::locale::{DateLength, Languages, LocalTime, Locale};

use crate::support::app_client::AppClient;

/// Calls a function with the locale of each tag, and returns the texts.
fn in_each(tags: &[&str], format: impl Fn(&Locale) -> Result<String> + Clone + 'static) -> Vec<String> {
    let mut languages = Languages::new("en").unwrap();
    for tag in tags {
        languages.add(tag).unwrap();
    }
    languages
        .add_csv(
            "de",
            b"1 minute ago,vor einer Minute,singular\n{n} minutes ago,vor {n} Minuten,plural\n\
        {weekday} at {time},{weekday} um {time}\n",
        )
        .unwrap();
    let languages = Arc::new(languages);
    let show = async move |cx: &mut Context| format(cx.locale()?);
    let client = AppClient::new(Application::new().languages(languages).get("/", show)).unwrap();
    let texts = tags.iter().map(|tag| {
        let response = client.get("/").header("accept-language", tag).send().unwrap();
        assert_eq!(response.status(), 200, "{tag}");
        // Releases of the data differ in their no-break spaces and apostrophes.
        response
            .text()
            .replace(['\u{202f}', '\u{a0}'], " ")
            .replace('\u{2019}', "'")
    });
    texts.collect()
}

/// Wednesday, 8 May 2024, 15:07:09 UTC.
fn moment() -> LocalTime {
    LocalTime::utc(UNIX_EPOCH + Duration::from_secs(1_715_180_829))
}

#[test]
fn dates_and_times_are_those_of_the_region() {
    let tags = ["en", "en-GB", "de", "ja"];
    let dates = |length| in_each(&tags, move |locale| locale.format_date(moment(), length));
    assert_eq!(
        dates(DateLength::Short),
        ["5/8/24", "08/05/2024", "08.05.24", "2024/05/08"]
    );
    assert_eq!(
        dates(DateLength::Medium),
        ["May 8, 2024", "8 May 2024", "08.05.2024", "2024/05/08"]
    );
    assert_eq!(
        dates(DateLength::Long),
        ["May 8, 2024", "8 May 2024", "8. Mai 2024", "2024年5月8日"]
    );
    let times = in_each(&tags, |locale| locale.format_time(moment().east_by_minutes(120)));
    assert_eq!(times, ["5:07 PM", "17:07", "17:07", "17:07"]);
    let both = in_each(&["en", "de"], |locale| {
        locale.format_date_time(moment(), DateLength::Medium)
    });
    assert_eq!(both, ["May 8, 2024, 3:07 PM", "08.05.2024, 15:07"]);
    let days = in_each(&["en", "de"], |locale| locale.format_day(moment()));
    assert_eq!(days, ["Wednesday, May 8", "Mittwoch, 8. Mai"]);
}

#[test]
fn moments_at_the_ends_of_time_are_formatted() {
    let far = [
        LocalTime::utc(UNIX_EPOCH - Duration::from_secs(1)),
        LocalTime::utc(UNIX_EPOCH + Duration::from_secs(1 << 40)).east_by_minutes(i32::MAX),
        LocalTime::utc(UNIX_EPOCH - Duration::from_secs(1 << 40)).east_by_minutes(i32::MIN),
    ];
    let shown = far.map(|time| {
        in_each(&["en-GB"], move |locale| {
            locale.format_date_time(time, DateLength::Medium)
        })
    });
    assert_eq!(shown[0], ["31 Dec 1969, 23:59"]);
    assert!(shown[1][0].contains("9999"), "{shown:?}");
    assert!(shown[2][0].contains('1'), "{shown:?}");
}

#[test]
fn a_moment_is_shown_by_its_distance_from_now() {
    let ago = |seconds: u64| {
        in_each(&["en", "de"], move |locale| {
            let before = UNIX_EPOCH + Duration::from_secs(1_715_180_829 - seconds);
            locale.format_relative(LocalTime::utc(before), moment())
        })
    };
    for (seconds, english, german) in [
        (0, "0 seconds ago", "0 seconds ago"),
        (1, "1 second ago", "1 second ago"),
        (49, "49 seconds ago", "49 seconds ago"),
        (50, "1 minute ago", "vor einer Minute"),
        (150, "3 minutes ago", "vor 3 Minuten"),
        (2999, "50 minutes ago", "vor 50 Minuten"),
        (3000, "1 hour ago", "1 hour ago"),
        (86_399, "24 hours ago", "24 hours ago"),
        (86_400, "yesterday at 3:07 PM", "yesterday at 15:07"),
        (3 * 86_400, "Sunday at 3:07 PM", "Sonntag um 15:07"),
        (5 * 86_400, "May 3, 2024, 3:07 PM", "03.05.2024, 15:07"),
    ] {
        assert_eq!(ago(seconds), [english, german], "{seconds} s");
    }
    let ahead = in_each(&["en"], |locale| {
        let now = LocalTime::utc(UNIX_EPOCH + Duration::from_secs(1_715_180_829 - 3600));
        locale.format_relative(moment(), now)
    });
    assert_eq!(ahead, ["May 8, 2024, 3:07 PM"]);
}

#[test]
fn numbers_have_the_separators_of_the_region() {
    let tags = ["en", "de", "de-CH", "hi", "ar-EG"];
    let whole = in_each(&tags, |locale| locale.format_number(-1_234_567));
    assert_eq!(whole[..4], ["-1,234,567", "-1.234.567", "-1'234'567", "-12,34,567"]);
    assert!(whole[4].contains('١'), "{whole:?}");
    let parts = in_each(&tags, |locale| locale.format_decimal(1234.5, 2));
    assert_eq!(parts[..4], ["1,234.50", "1.234,50", "1'234.50", "1,234.50"]);
    let refused = in_each(&["en"], |locale| {
        let refused = [f64::NAN, f64::INFINITY].map(|number| locale.format_decimal(number, 2).is_err());
        Ok(format!("{refused:?}"))
    });
    assert_eq!(refused, ["[true, true]"]);
}

#[test]
fn lists_are_joined_in_words() {
    let lists = |items: &'static [&'static str]| in_each(&["en", "en-GB", "de"], |locale| locale.format_list(items));
    assert_eq!(lists(&[]), ["", "", ""]);
    assert_eq!(lists(&["A"]), ["A", "A", "A"]);
    assert_eq!(lists(&["A", "B"]), ["A and B", "A and B", "A und B"]);
    assert_eq!(lists(&["A", "B", "C"]), ["A, B, and C", "A, B and C", "A, B und C"]);
}

#[test]
fn a_language_has_its_direction() {
    let directions = in_each(&["en", "de", "ar", "he", "fa-IR"], |locale| {
        Ok(locale.direction().to_owned())
    });
    assert_eq!(directions, ["ltr", "ltr", "rtl", "rtl", "rtl"]);
}
