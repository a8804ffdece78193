//! A report as data, rendered as HTML by `page` and as Markdown by `markdown`.

use super::figures::Chart;
use super::finding::Finding;
use super::findings;
use super::ranking;
use super::section::Section;
use super::table::{Cell, Table};
use super::{number, palette};
use crate::record::{Participant, Record, Role, View};
use crate::shell;

/// A report; its texts are unescaped.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) date: String,
    /// Machine, cores, rounds and windows, in one line.
    pub(super) setting: String,
    pub(super) findings: Vec<Finding>,
    /// The overview charts.
    pub(super) rankings: Vec<Chart>,
    /// The colour key: class, name and meaning.
    pub(super) key: Vec<(String, String, String)>,
    pub(super) sections: Vec<Section>,
    /// The machine and the software: name and value.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) contenders: Table,
    pub(super) skipped: Option<Table>,
    pub(super) noise: Option<Table>,
    /// All commands: purpose and command line.
    pub(super) commands: Vec<(String, String)>,
}

impl Document {
    pub(super) fn of(record: &Record) -> Self {
        let views = record.views();
        Self {
            title: record.title.clone(),
            date: record.date.clone(),
            setting: setting(record),
            findings: findings::of_record(record),
            rankings: [ranking::floor(record), ranking::drivers(record)]
                .into_iter()
                .flatten()
                .collect(),
            key: key(record),
            sections: views.iter().filter_map(Section::of).collect(),
            facts: facts(record),
            contenders: contenders(record),
            skipped: skipped(record),
            noise: noise(&views),
            commands: commands(record),
        }
    }
}

fn setting(record: &Record) -> String {
    let machine = &record.machine;
    let kind = if machine.is_virtual { " (virtual)" } else { "" };
    format!(
        "{}{kind}, Linux {}; server on core {}, load on core {}; {}, windows of {} s, interleaved",
        machine.cpu,
        machine.kernel,
        list(&record.cores.server),
        list(&record.cores.load),
        rounds(record),
        record.window_seconds
    )
}

fn rounds(record: &Record) -> String {
    match record.rounds {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds"),
    }
}

/// Returns the colour key: Squall's variants and the floors.
fn key(record: &Record) -> Vec<(String, String, String)> {
    let of_role = |role: Role| move |contender: &&Participant| Role::of(&contender.name) == role;
    let subjects = record
        .contenders
        .iter()
        .filter(of_role(Role::Subject))
        .map(|contender| {
            let name = contender.name.as_str();
            let meaning = match name {
                palette::SUBJECT | palette::RIVAL => palette::display_name(name),
                _ => contender.note.clone(),
            };
            (palette::class(record, name), name.to_owned(), meaning)
        });
    let floors = record.contenders.iter().find(of_role(Role::Floor)).map(|contender| {
        let class = palette::class(record, &contender.name);
        (
            class,
            "floor-…".to_owned(),
            "bare loops without a server's features".to_owned(),
        )
    });
    subjects.chain(floors).collect()
}

fn list(cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    cores.join(", ")
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let machine = &record.machine;
    let unknown = || "unknown".to_owned();
    let hypervisor = machine.hypervisor.as_deref().unwrap_or("of an unknown kind");
    let platform = match machine.is_virtual {
        true => format!("virtual machine, hypervisor {hypervisor}"),
        false => "bare metal, or an unreported hypervisor".to_owned(),
    };
    let mitigations = match machine.mitigations.as_slice() {
        [] => unknown(),
        measures => measures.join("; "),
    };
    vec![
        ("CPU", format!("{}, {} cores", machine.cpu, machine.cores)),
        (
            "Memory",
            format!("{} MiB", number::grouped(machine.memory_mib as f64, 0)),
        ),
        ("Platform", platform),
        ("Kernel", format!("Linux {}", machine.kernel)),
        (
            "Clock governor",
            machine.governor.clone().unwrap_or_else(|| "not visible".to_owned()),
        ),
        ("CPU mitigations", mitigations),
        ("Compiler", machine.rustc.clone().unwrap_or_else(unknown)),
        ("Load generator", machine.generator.clone().unwrap_or_else(unknown)),
        ("Commit", machine.commit.clone().unwrap_or_else(unknown)),
        (
            "Cores",
            format!(
                "server {}; load {}",
                list(&record.cores.server),
                list(&record.cores.load)
            ),
        ),
        (
            "Windows",
            format!(
                "{} measured, of {} s each after {} s of load, in {}",
                record.samples.len(),
                record.window_seconds,
                record.warmup_seconds,
                rounds(record)
            ),
        ),
    ]
}

fn contenders(record: &Record) -> Table {
    let mut table = Table::new(["server", "version", "setting"], []);
    for contender in &record.contenders {
        let Participant {
            name, version, note, ..
        } = contender;
        table.push(palette::class(record, name), [name, version, note].map(Cell::of));
    }
    table
}

fn skipped(record: &Record) -> Option<Table> {
    let mut table = Table::new(["skipped", "for", "reason", "hint"], []);
    for skipped in &record.skipped {
        let workload = skipped.workload.as_deref().unwrap_or("all workloads");
        let hint = skipped.hint.as_deref().unwrap_or("–");
        table.push(
            "",
            [skipped.name.as_str(), workload, &skipped.reason, hint].map(Cell::of),
        );
    }
    (!table.rows.is_empty()).then_some(table)
}

fn noise(views: &[View<'_>]) -> Option<Table> {
    let headings = [
        "server's core %",
        "load's core %",
        "hypervisor %",
        "load generator busy %",
    ];
    let mut table = Table::new(["worst window of"], headings.map(str::to_owned));
    for view in views {
        let noises = || view.windows().iter().filter_map(|sample| sample.noise);
        let percent = |share: f64| Cell::of(format!("{:.1}", share * 100.0));
        if noises().next().is_none() {
            continue;
        }
        let load_busy = view.windows().iter().filter_map(|sample| sample.load_busy);
        let shares = [
            noises().map(|noise| noise.others_on_server_core).fold(0.0, f64::max),
            noises().map(|noise| noise.others_on_load_core).fold(0.0, f64::max),
            noises().map(|noise| noise.stolen).fold(0.0, f64::max),
            load_busy.fold(0.0, f64::max),
        ];
        table.push(
            "",
            std::iter::once(Cell::of(&view.workload.name)).chain(shares.map(percent)),
        );
    }
    (!table.rows.is_empty()).then_some(table)
}

fn commands(record: &Record) -> Vec<(String, String)> {
    let whole = ("The whole comparison".to_owned(), record.command.clone());
    let builds = record
        .contenders
        .iter()
        .filter(|contender| !contender.build_command.is_empty())
        .map(|contender| {
            (
                format!("Build of {}", contender.name),
                shell::typed(&contender.build_command),
            )
        });
    let starts = record
        .contenders
        .iter()
        .map(|contender| (format!("Start of {}", contender.name), shell::typed(&contender.command)));
    let loads = record
        .workloads
        .iter()
        .filter_map(|workload| Some((format!("Load of {}", workload.name), workload.command.clone()?)));
    std::iter::once(whole)
        .chain(builds)
        .chain(starts)
        .chain(loads)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn commands_go_from_the_whole_to_the_start_of_each_contender() {
        let commands = Document::of(&record()).commands;
        assert_eq!(commands.first().unwrap().1, "squall-loadtest compare");
        assert_eq!(commands.last().unwrap().1, "floor-epoll {listen}");
    }

    #[test]
    fn skipped_contenders_have_their_reason() {
        let mut record = record();
        assert!(Document::of(&record).skipped.is_none());
        record.skipped.push(crate::record::SkippedContender {
            name: "nginx".to_owned(),
            workload: None,
            reason: "not installed".to_owned(),
            hint: None,
        });
        let table = Document::of(&record).skipped.unwrap();
        assert_eq!(
            table.rows[0].cells,
            ["nginx", "all workloads", "not installed", "–"].map(Cell::of)
        );
    }
}
