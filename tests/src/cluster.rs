//! A real control plane: etcd and kube-apiserver with RBAC on, in a namespace of their own beside a node.
//!
//! There is no kubelet and no scheduler. With [`Cluster::start_controllers`] the endpoint slice and namespace
//! controllers run too.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::namespace::Namespace;
use crate::node::Node;
use crate::peers::find_peer;
use crate::process::Process;

/// The control plane's address.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);

const READY_LIMIT: Duration = Duration::from_secs(60);
const CERTIFICATE: &str = "/run/apiserver/apiserver.crt";
const SERVICE_ACCOUNT_KEY: &str = "/run/apiserver/service-account.key";
const AGENT_ROLE: &str = include_str!("../../deploy/kustomize/base/clusterrole.yaml");
const TOKENS: &str = "/run/apiserver/tokens.csv";

/// Who calls the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// May do what the ClusterRole in `deploy/` allows.
    Agent,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            User::Admin => "admin",
            User::Agent => "kxdns",
        }
    }

    fn token(self) -> &'static str {
        match self {
            User::Admin => "admin-token",
            User::Agent => "agent-token",
        }
    }
}

/// A running control plane. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    namespace: Namespace,
    etcd: Process,
    api_server: Process,
    _controllers: Option<Process>,
}

impl Cluster {
    /// Starts the control plane as a neighbour of the node and waits until it is ready and knows its users.
    pub fn start(node: &Node) -> Result<Cluster> {
        let namespace = node.add_neighbour("control", CONTROL_PLANE)?;
        write_secrets(&namespace)?;
        let etcd = start_etcd(&namespace)?;
        let api_server = start_api_server(&namespace)?;
        let mut cluster = Cluster {
            namespace,
            etcd,
            api_server,
            _controllers: None,
        };
        cluster.await_ready()?;
        cluster.run(async |client| allow_agent(client).await)?;
        Ok(cluster)
    }

    /// Starts the controllers that make EndpointSlices and empty deleted namespaces.
    pub fn start_controllers(&mut self) -> Result<()> {
        self.start_these_controllers("endpointslice-controller,namespace-controller")
    }

    /// Starts the controller that makes EndpointSlices alone: a deleted Namespace is left to the caller.
    pub fn start_slice_controller(&mut self) -> Result<()> {
        self.start_these_controllers("endpointslice-controller")
    }

    fn start_these_controllers(&mut self, names: &str) -> Result<()> {
        let kubeconfig = self.write_kubeconfig(&self.namespace, User::Admin)?;
        let mut command = self.namespace.command(find_peer("kube-controller-manager")?);
        command
            .args(["--kubeconfig", &kubeconfig])
            .args(["--controllers", names])
            .args(["--leader-elect=false", "--secure-port", "0"]);
        self._controllers = Some(Process::start("kube-controller-manager", command)?);
        Ok(())
    }

    /// Kills the API server, starts it anew over the same etcd and waits until it is ready.
    ///
    /// Its watch caches start with what etcd holds then: to a watch from before it says 410, so the client lists anew.
    pub fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.kill()?;
        self.api_server = start_api_server(&self.namespace)?;
        self.await_ready()
    }

    /// Writes a kubeconfig into a namespace and returns its path there.
    pub fn write_kubeconfig(&self, namespace: &Namespace, user: User) -> Result<String> {
        let authority = "/run/kubernetes/ca.crt";
        let path = format!("/run/kubernetes/{}.kubeconfig", user.name());
        let certificate = fs::read(self.namespace.path(CERTIFICATE)).context("the API server has no certificate")?;
        namespace.write(authority, certificate)?;
        namespace.write(&path, kubeconfig(authority, user).to_string())?;
        Ok(path)
    }

    /// Runs API calls as the administrator, on a thread inside the control plane's namespace.
    pub fn run<T: Send>(&self, calls: impl AsyncFnOnce(Client) -> Result<T> + Send) -> Result<T> {
        self.run_as(User::Admin, calls)
    }

    /// Runs API calls as this user.
    pub fn run_as<T: Send>(&self, user: User, calls: impl AsyncFnOnce(Client) -> Result<T> + Send) -> Result<T> {
        let authority = self.namespace.path(CERTIFICATE);
        let kubeconfig = kubeconfig(&authority.to_string_lossy(), user);
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { calls(connect(kubeconfig).await?).await })
        };
        self.namespace.inside(work)?
    }

    fn await_ready(&mut self) -> Result<()> {
        let url = format!("https://{CONTROL_PLANE}:6443/readyz");
        let token = format!("Authorization: Bearer {}", User::Admin.token());
        let namespace = &self.namespace;
        // The certificate is made at the start, and curl is no client of ours: what matters is the answer "ok".
        let ask = || namespace.run("curl", ["-ksSf", "-m", "2", "-H", &token, &url]).ok();
        let ready = self
            .api_server
            .await_that("/readyz", READY_LIMIT, || Ok(ask().filter(|reply| reply == "ok")));
        ready
            .map(drop)
            .with_context(|| format!("etcd:\n{}", self.etcd.output()))
    }
}

/// Makes an object of the API from its JSON form; for tests that write objects as a user does.
pub fn object<T: DeserializeOwned>(json: serde_json::Value) -> Result<T> {
    serde_json::from_value(json).context("no such object in the API")
}

/// A Service of type ClusterIP with one UDP port; the API server chooses the addresses unless some are given.
pub fn service(name: &str, cluster_ips: &[&str]) -> Result<Service> {
    let mut spec = json!({
        "ipFamilyPolicy": "PreferDualStack",
        "selector": {"app": name},
        "ports": [{"name": "port", "port": 80, "protocol": "TCP"}],
    });
    if let Some(first) = cluster_ips.first() {
        spec["clusterIP"] = json!(first);
        spec["clusterIPs"] = json!(cluster_ips);
    }
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

fn write_secrets(namespace: &Namespace) -> Result<()> {
    let line = |user: User, groups: &str| format!("{},{},{}-uid{groups}\n", user.token(), user.name(), user.name());
    namespace.write(TOKENS, line(User::Admin, ",system:masters") + &line(User::Agent, ""))?;
    let key = namespace.run("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout"])?;
    namespace.write(SERVICE_ACCOUNT_KEY, key)
}

fn start_etcd(namespace: &Namespace) -> Result<Process> {
    let mut command = namespace.command(find_peer("etcd")?);
    command.args(["--data-dir", "/run/etcd", "--unsafe-no-fsync", "--log-level", "warn"]);
    Process::start("etcd", command)
}

fn start_api_server(namespace: &Namespace) -> Result<Process> {
    let address = CONTROL_PLANE.to_string();
    let mut command = namespace.command(find_peer("kube-apiserver")?);
    command
        .args(["--etcd-servers", "http://127.0.0.1:2379"])
        .args([
            "--bind-address",
            &address,
            "--advertise-address",
            &address,
            "--cert-dir",
            "/run/apiserver",
        ])
        .args(["--authorization-mode", "RBAC", "--token-auth-file", TOKENS])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--service-account-key-file", SERVICE_ACCOUNT_KEY])
        .args(["--service-account-signing-key-file", SERVICE_ACCOUNT_KEY])
        .args(["--disable-admission-plugins", "ServiceAccount"])
        .args(["--service-cluster-ip-range", "10.96.0.0/12,fd00:96::/112"]);
    Process::start("kube-apiserver", command)
}

fn kubeconfig(authority: &str, user: User) -> serde_json::Value {
    let server = format!("https://{CONTROL_PLANE}:6443");
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": user.name(), "user": {"token": user.token()}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user.name()}}],
    })
}

async fn connect(kubeconfig: serde_json::Value) -> Result<Client> {
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Grants the agent's user what `deploy/` grants the agent, and no more.
async fn allow_agent(client: Client) -> Result<()> {
    let role: ClusterRole = serde_saphyr::from_str(AGENT_ROLE).context("deploy/ has no readable ClusterRole")?;
    let group = "rbac.authorization.k8s.io";
    let binding: ClusterRoleBinding = object(json!({
        "metadata": {"name": "kxdns-user"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role.metadata.name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": User::Agent.name()}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &role).await?;
    Api::all(client).create(&PostParams::default(), &binding).await?;
    Ok(())
}
