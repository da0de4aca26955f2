//! Writes versions as fast as the API server takes them: the objects of each Service one after the other, those of
//! different Services at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::{Api, Client};
use kxdns_tests::hostile::random::Random;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::history::Truth;
use crate::state::{Family, NAMESPACE, Part, SLOTS, State, body, object_name};

/// Writes for this long, and then deletes all that is there.
pub(crate) async fn write(client: Client, truth: Arc<Truth>, seed: u64, length: Duration) -> Result<()> {
    let (deadline, mut tasks) = (Instant::now() + length, JoinSet::new());
    for slot in 0..SLOTS {
        let writer = Writer {
            client: client.clone(),
            truth: Arc::clone(&truth),
            slot,
            random: Random::new(seed + slot as u64),
        };
        tasks.spawn(writer.write(deadline));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Writes the objects of one Service.
struct Writer {
    client: Client,
    truth: Arc<Truth>,
    slot: usize,
    random: Random,
}

impl Writer {
    async fn write(mut self, deadline: Instant) -> Result<()> {
        while Instant::now() < deadline {
            let part = self.random.pick([
                Part::Service,
                Part::Service,
                Part::Slice(Family::Ipv4),
                Part::Slice(Family::Ipv6),
            ]);
            match part {
                Part::Service => self.change_service().await?,
                Part::Slice(_) => self.change_slice(part).await?,
            }
        }
        for part in Part::ALL {
            self.set(part, State::Absent).await?;
        }
        Ok(())
    }

    /// A cluster IP cannot be changed: for another one, the Service goes and comes.
    async fn change_service(&mut self) -> Result<()> {
        let old = self.truth.slot(self.slot).state(Part::Service);
        if let State::ClusterIp { address, .. } = old
            && self.random.once_in(2)
        {
            let port = self.truth.number();
            return self.set(Part::Service, State::ClusterIp { address, port }).await;
        }
        self.set(Part::Service, State::Absent).await?;
        if old == State::Absent || !self.random.once_in(4) {
            let state = self.new_service();
            self.set(Part::Service, state).await?;
        }
        Ok(())
    }

    fn new_service(&mut self) -> State {
        if self.random.once_in(2) {
            return State::Headless;
        }
        let number = self.truth.number();
        State::ClusterIp {
            address: number,
            port: number,
        }
    }

    async fn change_slice(&mut self, part: Part) -> Result<()> {
        let state = match self.random.below(8) {
            0 | 1 => State::Absent,
            chance => State::Slice {
                number: self.truth.number(),
                ready: chance != 2,
            },
        };
        self.set(part, state).await
    }

    /// Makes one version of an object of another, by one call.
    async fn set(&self, part: Part, state: State) -> Result<()> {
        let old = self.truth.slot(self.slot).state(part);
        if (old, state) == (State::Absent, State::Absent) {
            return Ok(());
        }
        self.truth.begin(self.slot, part, state);
        let done = self.call(part, old, state).await;
        self.truth.slot(self.slot).end(part);
        done.with_context(|| format!("the API server refuses to make {state:?} of {old:?}"))
    }

    async fn call(&self, part: Part, old: State, state: State) -> Result<()> {
        let (api, name) = (self.api(part), object_name(self.slot, part));
        let object = |body: Value| -> Result<DynamicObject> { Ok(serde_json::from_value(body)?) };
        match body(self.slot, part, state) {
            None => drop(api.delete(&name, &DeleteParams::default()).await?),
            Some(body) if old == State::Absent => drop(api.create(&PostParams::default(), &object(body)?).await?),
            Some(body) => drop(api.replace(&name, &PostParams::default(), &object(body)?).await?),
        }
        Ok(())
    }

    fn api(&self, part: Part) -> Api<DynamicObject> {
        let resource = match part {
            Part::Service => ApiResource::erase::<Service>(&()),
            Part::Slice(_) => ApiResource::erase::<EndpointSlice>(&()),
        };
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }
}
