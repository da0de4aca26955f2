//! What the objects of the population are called, by their numbers, and the addresses of its pods.

use std::net::Ipv4Addr;

/// How many Namespaces there are.
pub(crate) const NAMESPACES: usize = 100;

/// The pods' addresses are counted from here.
const FIRST_POD: u32 = u32::from_be_bytes([10, 128, 0, 0]);
/// The addresses of pods that are replaced are counted from here.
const FIRST_REPLACEMENT: u32 = u32::from_be_bytes([10, 192, 0, 0]);

/// The Service's name without its Namespace.
pub(crate) fn service_name(number: usize) -> String {
    let kind = if is_headless(number) { "store" } else { "web" };
    format!("{kind}-{number:05}")
}

/// The name of the Namespace of this number, or of the one that the Service of this number is in.
pub(crate) fn namespace_name(number: usize) -> String {
    format!("team-{:02}", number % NAMESPACES)
}

/// The name of a Service's EndpointSlice, with letters behind the Service's name as the controller puts them.
pub(crate) fn slice_name(service: usize) -> String {
    format!("{}-{:05x}", service_name(service), service * 7_919 % 0x10_0000)
}

/// The name that a Service has in DNS.
pub(crate) fn dns_name(service: usize) -> String {
    format!(
        "{}.{}.svc.cluster.local",
        service_name(service),
        namespace_name(service)
    )
}

/// The address of an endpoint.
pub(crate) fn pod_address(endpoint: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_POD + endpoint as u32)
}

/// The address of a pod that has come in place of another.
pub(crate) fn replacement_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_REPLACEMENT + number as u32)
}

/// Whether the Service of this number is headless.
pub(crate) fn is_headless(service: usize) -> bool {
    service % 2 == 1
}
