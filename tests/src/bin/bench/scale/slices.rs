//! The EndpointSlices of all headless Services as they are, so that a change is one request and reads nothing first.
//!
//! Whoever takes one has it alone until it is put back: nobody changes it again before its answer was seen.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::PostParams;
use kube::core::Request;
use kube::{Client, Resource as _};

use super::names::{dns_name, namespace_name, replacement_address, slice_name};
use super::probe::Expectation;

/// The shortest reply of an API server to what it has written.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The EndpointSlice of a headless Service.
#[derive(Debug)]
pub(crate) struct Slice {
    /// The Service's number.
    pub(crate) service: usize,
    object: EndpointSlice,
}

impl Slice {
    /// A slice as the API server has it.
    pub(crate) fn new(service: usize, mut object: EndpointSlice) -> Self {
        // What is written overwrites whatever is there.
        object.metadata.resource_version = None;
        // It also ends the book-keeping of who has written which field, a fifth of what a write costs an API server:
        // what is measured comes after it.
        object.metadata.managed_fields = Some(vec![ManagedFieldsEntry::default()]);
        Self { service, object }
    }

    /// What the Service must answer.
    pub(crate) fn expectation(&self) -> Result<Expectation> {
        let endpoints = self.object.endpoints.iter().flatten();
        let addresses = endpoints
            .filter(|endpoint| is_ready(endpoint))
            .flat_map(|endpoint| &endpoint.addresses);
        let addresses: Result<BTreeSet<IpAddr>> = addresses.map(|address| Ok(address.parse()?)).collect();
        Ok(Expectation {
            name: dns_name(self.service),
            addresses: addresses?,
        })
    }

    /// Gives the first ready endpoint a new address, as if its pod were replaced.
    pub(crate) fn replace_pod(&mut self, address: Ipv4Addr) -> Result<()> {
        let mut endpoints = self.object.endpoints.iter_mut().flatten();
        let endpoint = endpoints
            .find(|endpoint| is_ready(endpoint))
            .context("a Service without ready endpoints")?;
        endpoint.addresses = vec![address.to_string()];
        Ok(())
    }

    /// Writes it as the endpoint slice controller does: whole.
    pub(crate) async fn write(&self, client: &Client) -> Result<()> {
        let slices = EndpointSlice::url_path(&(), Some(&namespace_name(self.service)));
        let name = slice_name(self.service);
        let object = serde_json::to_vec(&self.object)?;
        let mut request = Request::new(slices).replace(&name, &PostParams::default(), object)?;
        // What comes back is known: without it the API server and this program have more time for other changes.
        request.headers_mut().insert("accept", METADATA.parse()?);
        let written = client.request_text(request).await;
        written.map(drop).with_context(|| format!("cannot write {name}"))
    }
}

/// Whether an endpoint takes traffic; unknown is yes.
fn is_ready(endpoint: &Endpoint) -> bool {
    let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
    ready.unwrap_or(true)
}

/// Slices that have turns.
#[derive(Debug, Default)]
pub(crate) struct Slices(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The next first.
    here: VecDeque<Slice>,
    /// How many are taken.
    taken: usize,
    /// How many addresses were given to endpoints.
    replacements: usize,
}

impl Slices {
    /// Adds a slice.
    pub(crate) fn add(&self, slice: Slice) {
        self.state().here.push_back(slice);
    }

    /// Takes the slice whose turn it is, unless so many are taken already.
    pub(crate) fn take(&self, at_once: usize) -> Option<Slice> {
        let mut state = self.state();
        if state.taken >= at_once {
            return None;
        }
        let slice = state.here.pop_front()?;
        state.taken += 1;
        Some(slice)
    }

    /// Takes the slice whose turn it is for good.
    pub(crate) fn remove(&self) -> Option<Slice> {
        self.state().here.pop_front()
    }

    /// Puts back what was taken.
    pub(crate) fn put_back(&self, slice: Slice) {
        let mut state = self.state();
        state.taken -= 1;
        state.here.push_back(slice);
    }

    /// An address that no endpoint has had.
    pub(crate) fn next_address(&self) -> Ipv4Addr {
        let mut state = self.state();
        state.replacements += 1;
        replacement_address(state.replacements)
    }

    /// What the Service must answer that was put back last.
    pub(crate) fn last(&self) -> Result<Expectation> {
        self.state().here.back().context("no Service")?.expectation()
    }

    /// What all Services must answer.
    pub(crate) fn expectations(&self) -> Result<Vec<Expectation>> {
        let state = self.state();
        ensure!(state.taken == 0, "{} slices were not put back", state.taken);
        state.here.iter().map(Slice::expectation).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::population::Population;
    use super::*;

    fn slice(service: usize) -> Result<Slice> {
        let object = Population::new(10).slice(service, &Population::service(service)?)?;
        Ok(Slice::new(service, object))
    }

    #[test]
    fn a_replaced_pod_has_its_new_address_and_not_its_old_one() -> Result<()> {
        let mut slice = slice(1)?;
        let before = slice.expectation()?;
        slice.replace_pod(replacement_address(7))?;
        let after = slice.expectation()?;
        let gained: Vec<_> = after.addresses.difference(&before.addresses).collect();
        assert_eq!(gained, [&IpAddr::from(replacement_address(7))]);
        assert_eq!(after.addresses.len(), before.addresses.len());
        Ok(())
    }

    #[test]
    fn a_slice_that_is_taken_has_no_other_turn() -> Result<()> {
        let slices = Slices::default();
        slices.add(slice(1)?);
        slices.add(slice(3)?);
        let first = slices.take(2).context("none")?;
        assert!(slices.take(1).is_none());
        assert_eq!(slices.take(2).map(|slice| slice.service), Some(3));
        assert!(slices.take(3).is_none());
        slices.put_back(first);
        assert_eq!(slices.take(2).map(|slice| slice.service), Some(1));
        Ok(())
    }
}
