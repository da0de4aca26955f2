//! `cargo xtask differential`: kxdns and CoreDNS are asked the same. The work itself is in the package of the tests.

use anyhow::Result;
use clap::Args;

use crate::step::{self, Steps};
use crate::test;

/// What is compared. What is not given is as the program itself has it.
#[derive(Args)]
pub(crate) struct Scope {
    /// The seed of the first cluster; each has the next one.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many questions are asked, of all clusters together.
    #[arg(long, value_name = "N")]
    questions: Option<u64>,
    /// How many clusters are made, one after the other.
    #[arg(long, value_name = "N")]
    clusters: Option<u64>,
    /// The only Corefile that is used, by its name; by default they take turns.
    #[arg(long, value_name = "NAME")]
    corefile: Option<String>,
    /// The hooks through which kxdns is asked from a pod, in turns: names of `kxdns run --attach`, or `all`. By default
    /// its server is asked alone.
    #[arg(long, value_name = "HOOK", num_args = 1.., value_delimiter = ',')]
    hook: Vec<String>,
    /// Where each difference is written into a file, too.
    #[arg(long, value_name = "FOLDER")]
    reports: Option<String>,
    /// Compares CoreDNS with itself, which shows that the comparison is sound.
    #[arg(long)]
    itself: bool,
}

impl Scope {
    fn arguments(&self) -> Vec<String> {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let options = [
            ("--seed", number(self.seed)),
            ("--questions", number(self.questions)),
            ("--clusters", number(self.clusters)),
            ("--corefile", self.corefile.clone()),
            ("--reports", self.reports.clone()),
        ];
        let given = options
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]));
        let hooks = self.hook.iter().map(|hook| format!("--hook={hook}"));
        given
            .flatten()
            .chain(hooks)
            .chain(self.itself.then(|| "--itself".to_owned()))
            .collect()
    }
}

/// Compares both within `scope`.
pub(crate) fn run(steps: &Steps, scope: &Scope) -> Result<()> {
    let mut command = test::prepare_companion(steps, "differential")?;
    command.args(scope.arguments());
    step::become_program(command)
}
