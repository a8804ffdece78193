//! The judge's own client side: it shares no codec with any server it judges.

pub(crate) mod http1;
