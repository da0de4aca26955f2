//! `bufsize`: a limit to the payload size of clients' OPT records, for replies and for what goes on to upstreams.

use super::{Next, Plugin, Serving};
use crate::server::query::Query;

/// Lets no client ask for more than so many bytes.
pub(super) struct BufferSize(pub(super) u16);

impl Plugin for BufferSize {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        next.serve(query)
    }

    fn payload_limit(&self) -> Option<u16> {
        Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::server::message::{Message, Record};
    use crate::server::query::Transport;
    use crate::server::rdata::Data;
    use crate::server::testing::*;

    /// The payload size that an OPT record tells.
    fn payload_size(message: &[u8]) -> Option<u16> {
        let message = Message::read(message).unwrap();
        message.opt().map(|opt| opt.data.class.to_int())
    }

    #[tokio::test]
    async fn limits_what_clients_ask_for_here_and_upstream() {
        let (upstream, seen) = script(Transport::Udp, |query| vec![query_to_reply(query)]).await;
        for (directive, asked, expected) in [
            ("bufsize", 4096, 1232),
            ("bufsize", 1232, 1232),
            ("bufsize", 1231, 1231),
            ("bufsize 512", 4096, 512),
            ("bufsize 4096", 65535, 4096),
            ("", 65535, 65535),
        ] {
            let responder = responder(&format!("{directive}\nforward . {upstream}"));
            let asked = with_opt(query("a", 1), asked, 0, b"");
            let reply = responder.respond(&asked, UDP).await.unwrap();
            let sent = seen.lock().unwrap().pop().unwrap();
            assert_eq!(payload_size(&sent), Some(expected), "{directive}");
            assert_eq!(payload_size(&reply), Some(expected), "{directive}");
        }
        let responder = responder(&format!("bufsize\nforward . {upstream}"));
        let reply = responder.respond(&query("a", 1), UDP).await.unwrap();
        let sent = seen.lock().unwrap().pop().unwrap();
        assert_eq!((payload_size(&sent), payload_size(&reply)), (None, None));
    }

    /// The query as a reply to itself.
    fn query_to_reply(query: &[u8]) -> Vec<u8> {
        let mut reply = query.to_vec();
        reply[2] |= 0x80;
        reply
    }

    #[tokio::test]
    async fn replies_are_cut_to_it() {
        let many = |query: &[u8]| {
            let mut message = Message::read(&query_to_reply(query)).unwrap();
            let address = Record {
                owner: message.question.name.clone(),
                ttl: 5,
                data: Data::of_address([10, 0, 0, 1].into()),
            };
            message.answer = vec![address; 60];
            vec![message.write(4096)]
        };
        let (upstream, _) = script(Transport::Udp, many).await;
        let asked = with_opt(query("a", 1), 4096, 0, b"");
        for (directive, is_cut) in [("bufsize 600", true), ("bufsize 1100", false), ("", false)] {
            let responder: Arc<_> = responder(&format!("{directive}\nforward . {upstream}"));
            let reply = responder.respond(&asked, UDP).await.unwrap();
            assert_eq!((reply[2] & 2 != 0, reply.len() > 600), (is_cut, !is_cut), "{directive}");
        }
    }

    #[tokio::test]
    async fn the_servers_own_replies_tell_it_too() {
        let asked = with_opt(query("a", 1), 4096, 0, b"");
        let reply = responder("bufsize").respond(&asked, UDP).await.unwrap();
        assert_eq!((reply[3] & 0xf, payload_size(&reply)), (2, Some(1232)));
    }
}
