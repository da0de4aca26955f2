//! The records that everyone has, and the questions that everyone is asked.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::Result;
use kxdns_tests::dns::Question;
use kxdns_tests::load::Case;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// The address that pods ask.
pub(crate) const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// How many Services there are.
pub(crate) const SERVICES: usize = 1_000;

/// A Service.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The Service's name; its Namespace is `default`.
    pub(crate) service: String,
    pub(crate) address: Ipv4Addr,
}

impl Record {
    /// The name of its addresses.
    pub(crate) fn name(&self) -> String {
        format!("{}.default.svc.cluster.local", self.service)
    }
}

/// All of them.
pub(crate) fn records() -> Vec<Record> {
    let record = |number: usize| Record {
        service: format!("service-{number:04}"),
        address: Ipv4Addr::from(0x0a60_1000 + number as u32),
    };
    (0..SERVICES).map(record).collect()
}

/// The Services as objects, for an agent that reads them from a file.
pub(crate) fn manifest(records: &[Record]) -> String {
    let mut text = String::new();
    for Record { service, address } in records {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {service}, namespace: default}}, spec: {{clusterIP: \
             {address}, ports: [{{name: http, port: 80}}]}}}}"
        );
    }
    text
}

/// The kinds of questions.
pub(crate) const KINDS: [&str; 4] = ["A, one name", "A, 1,000 names", "AAAA, NODATA", "A, NXDOMAIN"];

/// Questions of each of [`KINDS`].
pub(crate) fn kinds(records: &[Record]) -> Result<[Vec<Case>; KINDS.len()]> {
    let each = |case: fn(&Record) -> Result<Case>| records.iter().map(case).collect::<Result<Vec<_>>>();
    Ok([
        records.iter().take(1).map(address).collect::<Result<_>>()?,
        each(address)?,
        each(no_data)?,
        each(absent)?,
    ])
}

fn address(record: &Record) -> Result<Case> {
    Case::addresses(&Question::a(&record.name()), &[record.address.into()])
}

fn no_data(record: &Record) -> Result<Case> {
    Case::addresses(&Question::aaaa(&record.name()), &[])
}

/// What the search list makes of a name outside the cluster.
fn absent(record: &Record) -> Result<Case> {
    let name = format!("{}.example.com.default.svc.cluster.local", record.service);
    Case::absent(&Question::a(&name))
}

/// What is asked, as resolvers ask under `ndots:5`: of ten questions four for an address, two for an IPv6 address that there
/// is not, and four for names that do not exist, since the search list comes before a name outside. In an order that is the
/// same each time.
pub(crate) fn cases(records: &[Record]) -> Result<Vec<Case>> {
    let mut cases = Vec::with_capacity(records.len());
    for (number, record) in records.iter().enumerate() {
        cases.push(match number % 10 {
            0..4 => address(record)?,
            4..6 => no_data(record)?,
            _ => absent(record)?,
        });
    }
    cases.shuffle(&mut StdRng::seed_from_u64(1));
    Ok(cases)
}
