//! The error pages of a group: one for every status, and one each for single statuses.

use std::rc::Rc;

use super::error_response::ErrorPage;
use crate::message::StatusCode;

/// The error pages of one group, or of a group and those around it.
#[derive(Clone, Default)]
pub(in crate::app) struct ErrorPageSet {
    for_all: Option<Rc<ErrorPage>>,
    for_status: Vec<(StatusCode, Rc<ErrorPage>)>,
}

impl ErrorPageSet {
    pub(in crate::app) fn is_empty(&self) -> bool {
        self.for_all.is_none() && self.for_status.is_empty()
    }

    /// Sets the page of one status, or of every status that has no page of its own.
    pub(in crate::app) fn set(&mut self, status: Option<StatusCode>, page: Rc<ErrorPage>) {
        match status {
            None => self.for_all = Some(page),
            Some(status) => {
                self.for_status.retain(|(known, _)| *known != status);
                self.for_status.push((status, page));
            }
        }
    }

    /// The page of a status.
    pub(in crate::app) fn find(&self, status: StatusCode) -> Option<&Rc<ErrorPage>> {
        let mut own = self.for_status.iter().filter(|(known, _)| *known == status);
        own.next().map(|(_, page)| page).or(self.for_all.as_ref())
    }

    /// The pages of a group inside `outer`, whose pages count where this group has none.
    pub(in crate::app) fn inside(&self, outer: &Self) -> Self {
        let mut pages = self.clone();
        if pages.for_all.is_none() {
            let missing = outer
                .for_status
                .iter()
                .filter(|(status, _)| self.find(*status).is_none());
            pages.for_status.extend(missing.cloned());
            pages.for_all.clone_from(&outer.for_all);
        }
        pages
    }

    /// Whether both have a page of the same status, or both one of every status.
    pub(in crate::app) fn overlaps(&self, other: &Self) -> bool {
        let has = |status| other.for_status.iter().any(|(known, _)| *known == status);
        self.for_all.is_some() && other.for_all.is_some() || self.for_status.iter().any(|(status, _)| has(*status))
    }

    /// Takes the pages apart, so that each can be dropped under its own guard.
    pub(in crate::app) fn into_pages(self) -> impl Iterator<Item = Rc<ErrorPage>> {
        let single = self.for_status.into_iter().map(|(_, page)| page);
        single.chain(self.for_all)
    }
}
