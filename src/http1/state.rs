//! The states of a connection, and the only place where they change.
//!
//! Two machines run side by side: [`ReceiveState`] for input, [`SendState`] for output. The table below is complete.
//! The machines are coupled in three places:
//!
//! - A response may begin only when its request's head has been received or rejected.
//! - The next head is read only when the request has been received or discarded, and the response has been sent.
//! - `101` ends both: HTTP ends in both directions.
//!
//! Interim responses, `100 Continue` and persistence do not change a state, so they are not in the table. Persistence
//! is a property of the exchange.

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiveState {
    /// The head of a request, or nothing yet.
    Head,
    /// The content of a request.
    Content,
    /// The request is complete. Input behind it belongs to the next request and is not read.
    Complete,
    /// Content of an answered request, to be discarded.
    Drain,
    /// Another protocol.
    Upgraded,
    /// Ignored: the request was rejected, or the connection is over.
    Closed,
}

/// What must be sent next.
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
    /// A complete head was received.
    RequestHead,
    /// The last byte of content was received, or the request has none.
    RequestEnd,
    /// The head of a final response was sent.
    ResponseHead,
    /// `101` was sent.
    SwitchingProtocols,
    /// The end of the response was sent.
    ResponseEnd,
    /// The exchange is over and its request was complete.
    NextExchange,
    /// The exchange is over and content of its request is still to come.
    DrainContent,
    /// The discarded content has ended.
    Drained,
    /// The peer broke a rule, a limit or a deadline; a response may still be sent.
    Refuse,
    /// The connection is over.
    Close,
}

/// The state of both machines.
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

    /// Returns the state after `step`, or `None` if the step is impossible here.
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

            // A rejected head is answered like a request.
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
    fn a_head_is_read_only_after_the_response() {
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
    fn sent_parts_are_never_sent_again() {
        let rank = |sending| ALL_SENDING.iter().position(|&at| at == sending);
        for (state, step) in everywhere() {
            let Some(after) = state.after(step) else { continue };
            if after.receiving != ReceiveState::Head {
                assert!(rank(after.sending) >= rank(state.sending), "{state:?} {step:?}");
            }
        }
    }
}
