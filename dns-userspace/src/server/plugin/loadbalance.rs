//! `loadbalance`: the addresses of an answer in random order.

use super::{Next, Plugin, Serving};
use crate::server::query::Query;
use crate::server::reply;

/// Puts the addresses of each section into random order, behind all other records.
pub(super) struct LoadBalance;

impl Plugin for LoadBalance {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        Box::pin(async move {
            next.serve(query).await.map(|mut message| {
                reply::shuffle(&mut message);
                message
            })
        })
    }
}
