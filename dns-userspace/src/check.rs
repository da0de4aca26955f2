//! `kxdns check`: what kxdns makes of a Corefile, told without running anything.

use anyhow::{Context as _, Result};
use domain::base::Rtype;

use crate::cli::Check;
use crate::name::Name;
use crate::{corefile, settings};

/// Checks the file and tells what there is to tell, some lines.
///
/// # Errors
///
/// Whatever keeps `kxdns run` from taking the file, one line for each.
pub fn check(options: &Check) -> Result<String> {
    let config = corefile::load(&options.corefile)?;
    if let [name, qtype @ ..] = options.explain.as_slice() {
        let (name, qtype) = (
            read_name(name)?,
            qtype.first().map_or(Ok(Rtype::A), |qtype| read_type(qtype))?,
        );
        return Ok(corefile::explain(&config, &name, qtype).to_string());
    }
    settings::check(&config, &options.corefile, options.kernel_only)?;
    let mut lines = vec![format!("{}: no errors", options.corefile.display())];
    lines.extend(corefile::plan(&config).iter().map(ToString::to_string));
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn read_name(text: &str) -> Result<Name> {
    let advice = "give one such as `web.default.svc.cluster.local`, of labels of 1 to 63 bytes and 255 bytes in all";
    Name::parse(text).with_context(|| format!("--explain: `{text}` is no domain name; {advice}"))
}

fn read_type(text: &str) -> Result<Rtype> {
    let qtype = text.to_ascii_uppercase().parse().ok();
    qtype.with_context(|| format!("--explain: `{text}` is no type of records; give one such as `A`, `SRV` or `TYPE65`"))
}
