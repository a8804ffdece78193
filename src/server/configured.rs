//! An application with what the settings of a server add to it.

use super::config::OwnSettings;
use crate::app::{AcmeChallenges, Application, RedirectToHttps};

/// Returns an application with what the server's settings add to it.
pub(super) fn configured(mut application: Application, own: &OwnSettings, https_port: Option<u16>) -> Application {
    if let Some(port) = https_port.filter(|_| own.redirect_to_https) {
        application = application.outermost(RedirectToHttps::port(port));
    }
    // Around the redirect: authorities ask over plain HTTP.
    if let Some(directory) = &own.acme_challenge_dir {
        application = application.outermost(AcmeChallenges::new(directory));
    }
    match &own.trusted_proxies {
        Some(proxies) => application.trusted_proxies(proxies.clone()),
        None => application,
    }
}
