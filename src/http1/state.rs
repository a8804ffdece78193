//! Where a connection stands, and the only place where that changes.
//!
//! Two machines run side by side: [`ReceiveState`] says what the bytes that come in are, [`SendState`] what the peer is
//! owed. They are coupled in three places, and the table below is the whole of it:
//!
//! - a response may begin only when its request's head has been received, or has been refused;
//! - the next head is read only when both the request has been received, or thrown away, and the response has been
//!   sent;
//! - `101` ends both: the bytes in either direction are no longer HTTP.
//!
//! Not in the table, because they do not change a state: interim responses, `100 Continue`, and whether the connection
//! persists, which is a property of the exchange.

/// What the bytes that come in are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiveState {
    /// The head of a request, or nothing yet.
    Head,
    /// Its content.
    Content,
    /// The request is complete. Bytes behind it belong to the next one and are not looked at.
    Complete,
    /// Content of a request that has been answered; nobody wants it.
    Drain,
    /// Another protocol's.
    Upgraded,
    /// Nobody's: the request was refused, or the connection is over.
    Closed,
}

/// What the peer is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendState {
    /// Nothing.
    Idle,
    /// The head of a final response.
    Head,
    /// Content and the end of the response.
    Content,
    /// Nothing more in this exchange.
    Ended,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole head came in.
    RequestHead,
    /// The last byte of content came in, or there was none.
    RequestEnd,
    /// The head of a final response went out.
    ResponseHead,
    /// `101` went out.
    SwitchingProtocols,
    /// The end of the response went out.
    ResponseEnd,
    /// The exchange is over and its request was complete.
    NextExchange,
    /// The exchange is over and content of its request is still to come.
    DrainContent,
    /// The unwanted content has come to its end.
    Drained,
    /// The peer broke a rule, a limit or a deadline; it may still be told so.
    Refuse,
    /// The connection is over.
    Close,
}

/// Both machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) receiving: ReceiveState,
    pub(super) sending: SendState,
}

impl State {
    /// A connection between two exchanges.
    pub(super) const IDLE: Self = Self {
        receiving: ReceiveState::Head,
        sending: SendState::Idle,
    };

    /// Where `step` leads from here; `None` where it cannot happen.
    pub(super) fn after(self, step: Step) -> Option<Self> {
        use ReceiveState as R;
        use SendState as S;
        let (receiving, sending) = match (step, self.receiving, self.sending) {
            (Step::RequestHead, R::Head, S::Idle) => (R::Content, S::Head),
            (Step::RequestEnd, R::Content, sending) => (R::Complete, sending),

            (Step::ResponseHead, receiving, S::Head) => (receiving, S::Content),
            (Step::SwitchingProtocols, R::Complete | R::Content, S::Head) => (R::Upgraded, S::Ended),
            (Step::ResponseEnd, receiving, S::Content) => (receiving, S::Ended),

            (Step::NextExchange, R::Complete | R::Content, S::Ended) => (R::Head, S::Idle),
            (Step::DrainContent, R::Content, S::Ended) => (R::Drain, S::Ended),
            (Step::Drained, R::Drain, S::Ended) => (R::Head, S::Idle),

            // A head that was refused is answered as a request is.
            (Step::Refuse, R::Head, S::Idle) => (R::Closed, S::Head),
            (Step::Refuse, R::Content, sending) => (R::Closed, sending),
            (Step::Close, _, S::Idle) => (R::Closed, S::Ended),
            (Step::Close, _, sending) => (R::Closed, sending),

            _ => return None,
        };
        Some(Self { receiving, sending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_RECEIVING: [ReceiveState; 6] = [
        ReceiveState::Head,
        ReceiveState::Content,
        ReceiveState::Complete,
        ReceiveState::Drain,
        ReceiveState::Upgraded,
        ReceiveState::Closed,
    ];
    const ALL_SENDING: [SendState; 4] = [SendState::Idle, SendState::Head, SendState::Content, SendState::Ended];
    const ALL_STEPS: [Step; 10] = [
        Step::RequestHead,
        Step::RequestEnd,
        Step::ResponseHead,
        Step::SwitchingProtocols,
        Step::ResponseEnd,
        Step::NextExchange,
        Step::DrainContent,
        Step::Drained,
        Step::Refuse,
        Step::Close,
    ];

    fn everywhere() -> impl Iterator<Item = (State, Step)> {
        ALL_RECEIVING.into_iter().flat_map(|receiving| {
            ALL_SENDING.into_iter().flat_map(move |sending| {
                ALL_STEPS
                    .into_iter()
                    .map(move |step| (State { receiving, sending }, step))
            })
        })
    }

    #[test]
    fn nothing_leads_out_of_closed_or_upgraded_input() {
        for (state, step) in everywhere() {
            let Some(after) = state.after(step) else { continue };
            match state.receiving {
                ReceiveState::Closed => assert_eq!(after.receiving, ReceiveState::Closed, "{state:?} {step:?}"),
                ReceiveState::Upgraded => {
                    assert!(
                        matches!(after.receiving, ReceiveState::Upgraded | ReceiveState::Closed),
                        "{state:?} {step:?}"
                    );
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_head_is_read_only_when_nothing_is_owed() {
        for (state, step) in everywhere() {
            let Some(after) = state.after(step) else { continue };
            if after.receiving == ReceiveState::Head && state.receiving != ReceiveState::Head {
                assert_eq!(
                    (state.sending, after.sending),
                    (SendState::Ended, SendState::Idle),
                    "{state:?} {step:?}"
                );
            }
        }
    }

    #[test]
    fn what_has_been_sent_is_never_owed_again() {
        let rank = |sending| ALL_SENDING.iter().position(|&at| at == sending);
        for (state, step) in everywhere() {
            let Some(after) = state.after(step) else { continue };
            if after.receiving != ReceiveState::Head {
                assert!(rank(after.sending) >= rank(state.sending), "{state:?} {step:?}");
            }
        }
    }
}
